/** A server, an agent and a provider of OpenID Connect whose metrics a real Prometheus reads over mutual TLS. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { programPath } from '@bonafide/testing/program-path';
import type { TemporaryDirectory } from '@bonafide/testing/temporary-directory';

const LIMIT_MS = 120_000;
const SCRAPER = 'spiffe://example.org/monitoring/prometheus';
const AGENT_METRICS = 'spiffe://example.org/monitoring/agent';
/** By which Prometheus knows who answers. */
export const HOST_NAMES = {
  server: 'server.metrics.example.org',
  agent: 'agent.metrics.example.org',
  oidc: 'oidc.metrics.example.org',
} as const;

export interface MeteredDomain extends AsyncDisposable {
  readonly server: LaunchedServer;
  readonly agent: LaunchedAgent;
  readonly ports: Readonly<Record<'server' | 'agent' | 'oidc', number>>;
  /** Holds `svid.pem`, `key.pem` and `bundle.pem` of whoever may read the metrics. */
  readonly identity: string;
}

export async function launchMeteredDomain(directory: TemporaryDirectory): Promise<MeteredDomain> {
  const ports = {
    server: await findFreePort(),
    agent: await findFreePort(),
    oidc: await findFreePort(),
  };
  const telemetry = (port: number, tls: ConfigFile): ConfigFile => ({
    Prometheus: {
      host: '127.0.0.1',
      port,
      tls: { use_spire_svid: true, authorized_spiffe_ids: [SCRAPER], ...tls },
    },
  });
  const limits = { directory: directory.path, readyLimitMs: LIMIT_MS };
  const started: AsyncDisposable[] = [];
  const stop = async (): Promise<void> => {
    for (const program of started.toReversed()) await program[Symbol.asyncDispose]();
  };
  try {
    const named = telemetry(ports.server, { dns_names: [HOST_NAMES.server] });
    const server = await launchServer({ ...limits, config: { telemetry: named } });
    started.push(server);
    const ofEntry = telemetry(ports.agent, { spiffe_id: AGENT_METRICS });
    const agent = await launchAgent({ ...limits, server, config: { telemetry: ofEntry } });
    started.push(agent);
    await nameAgent(server, agent);
    const identity = directory.join('identity');
    await mkdir(identity);
    const names = ['--dns', HOST_NAMES.oidc];
    await server.commandOutput('x509', 'mint', '--spiffe-id', SCRAPER, ...names, '--write', identity);
    started.push(await launchProvider(directory, server, identity, ports.oidc));
    return { server, agent, ports, identity, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Whose SVID the agent answers with: no process has its selector. */
async function nameAgent(server: LaunchedServer, agent: LaunchedAgent): Promise<void> {
  await server.commandOutput(
    ...['entry', 'create', '--spiffe-id', AGENT_METRICS, '--dns', HOST_NAMES.agent],
    ...['--parent-id', agent.spiffeId, '--selector', 'unix:uid:4294967295'],
  );
}

async function launchProvider(
  directory: TemporaryDirectory,
  server: LaunchedServer,
  identity: string,
  port: number,
): Promise<LaunchedProcess> {
  const file = directory.join('oidc.json');
  const socket = directory.join('oidc.sock');
  const config = {
    domains: ['oidc.example.org'],
    listen_socket_path: socket,
    server_api: { address: `unix://${server.socketPath}` },
    telemetry: {
      Prometheus: {
        host: '127.0.0.1',
        port,
        tls: {
          cert_file: join(identity, 'svid.pem'),
          key_file: join(identity, 'key.pem'),
          client_ca_file: join(identity, 'bundle.pem'),
        },
      },
    },
  };
  await writeFile(file, JSON.stringify(config));
  return LaunchedProcess.launch({
    name: 'provider',
    command: process.execPath,
    args: [programPath('oidc'), 'run', '--config', file],
    readyLimitMs: LIMIT_MS,
    isReady: async () => (await scrape(port, identity)).includes('bonafide_oidc_keys 1'),
  });
}

/** What Prometheus would read. @throws Error when the program refuses it. */
export async function scrape(port: number, identity: string | undefined): Promise<string> {
  const credentials =
    identity === undefined
      ? {}
      : { cert: await readFile(join(identity, 'svid.pem')), key: await readFile(join(identity, 'key.pem')) };
  const options = { host: '127.0.0.1', port, path: '/metrics', rejectUnauthorized: false, agent: false };
  return new Promise((resolve, reject) => {
    request({ ...options, ...credentials }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('end', () => {
        resolve(text);
      });
    })
      .once('error', reject)
      .end();
  });
}
