import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { runCommand } from '@bonafide/testing/run-command';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchServer } from '@bonafide/testing/launch-server';
import { isServing } from '@bonafide/testing/health';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { programPath } from '@bonafide/testing/program-path';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const folder = process.env['BONAFIDE_SPIRE_BIN'];
const env = {
  PATH: [...(folder === undefined ? [] : [folder]), process.env['PATH'] ?? ''].join(delimiter),
};
const hasSpire = ['spire-server', 'spire-agent'].every(
  (program) => spawnSync(program, ['--version'], { env }).status === 0,
);
const UID = `unix:uid:${process.getuid?.() ?? 0}`;
const LIMIT = { limitMs: 60_000, intervalMs: 250 };

describe.runIf(hasSpire)(
  'SPIRE (needs spire-server and spire-agent on the PATH or in BONAFIDE_SPIRE_BIN)',
  () => {
    let directory: TemporaryDirectory;
    let running: LaunchedProcess[];
    beforeEach(() => {
      directory = createTemporaryDirectory({ isPublic: true });
      running = [];
    });
    afterEach(async () => {
      for (const each of running.toReversed()) await each.stop();
      directory.remove();
    });

    async function launch(
      name: string,
      command: string,
      args: readonly string[],
      isReady: () => Promise<boolean>,
    ): Promise<LaunchedProcess> {
      const launched = await LaunchedProcess.launch({
        name,
        command,
        args,
        env,
        readyLimitMs: 60_000,
        isReady,
      });
      running.push(launched);
      return launched;
    }

    async function spire(program: string, ...args: readonly string[]): Promise<string> {
      const { code, stdout, stderr } = await runProcess(program, args, { env, limitMs: 30_000 });
      if (code !== 0)
        throw new Error(`${program} ${args.join(' ')} left code ${code ?? 'none'}: ${stdout}${stderr}`);
      return stdout;
    }

    it('a stock server serves our agent: attestation, SVIDs, changes by polling, a ban', async () => {
      const port = await findFreePort();
      const socket = directory.join('spire-server.sock');
      const data = directory.join('spire-server');
      await mkdir(data, { mode: 0o700 });
      const configuration = directory.join('server.conf');
      await writeFile(
        configuration,
        `server { bind_address = "127.0.0.1" bind_port = "${port}" socket_path = "${socket}" trust_domain = "example.org"
        data_dir = "${data}" log_level = "DEBUG" default_x509_svid_ttl = "1h" }
      plugins { DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${join(data, 'db.sqlite3')}" } }
        NodeAttestor "join_token" { plugin_data {} } KeyManager "memory" { plugin_data {} } }`,
      );
      await launch('spire-server', 'spire-server', ['run', '-config', configuration], async () => {
        return (
          (await runProcess('spire-server', ['healthcheck', '-socketPath', socket], { env, limitMs: 10_000 }))
            .code === 0
        );
      });
      const server = (...args: readonly string[]): Promise<string> =>
        spire('spire-server', ...args, '-socketPath', socket);
      await writeFile(directory.join('bundle.pem'), await server('bundle', 'show'));
      const token = /^Token: (\S+)/m.exec(await server('token', 'generate'))?.[1] ?? '';
      const agentId = `spiffe://example.org/spire/agent/join_token/${token}`;
      const create = (path: string): Promise<string> =>
        server(
          ...['entry', 'create', '-parentID', agentId, '-spiffeID', `spiffe://example.org/${path}`],
          ...['-selector', UID],
        );
      await create('one');
      const agentSocket = directory.join('agent.sock');
      const agentConfiguration = directory.join('agent.json');
      await writeFile(
        agentConfiguration,
        JSON.stringify({
          agent: {
            trust_domain: 'example.org',
            server_addresses: [`127.0.0.1:${port}`],
            socket_path: agentSocket,
            data_dir: directory.join('agent'),
            trust_bundle_path: directory.join('bundle.pem'),
            join_token: token,
          },
        }),
      );
      const agent = await launch(
        'agent',
        process.execPath,
        [programPath('agent'), 'run', '--config', agentConfiguration],
        () => isServing(agentSocket),
      );
      const fetched = async (...args: readonly string[]): Promise<string> =>
        (await runCommand('agent', ['api', 'fetch', ...args, '--socket-path', agentSocket])).stdout;
      await waitFor(
        'the SVID',
        async () => (await fetched('x509')).includes('spiffe://example.org/one'),
        LIMIT,
      );
      await create('two');
      await waitFor(
        'the change',
        async () => (await fetched('x509')).includes('spiffe://example.org/two'),
        LIMIT,
      );
      const jwt = ['jwt', '--audience', 'db', '--spiffe-id', 'spiffe://example.org/one'];
      await waitFor('a JWT-SVID', async () => (await fetched(...jwt)).includes('token('), LIMIT);
      await server('agent', 'ban', '-spiffeID', agentId);
      await waitFor('the end of the agent', () => agent.output.includes('is banned'), LIMIT);
    }, 240_000);

    it('a stock agent is served by our server: attestation, SVIDs, changes, renewal', async () => {
      const server = await launchServer({ directory: directory.path });
      running.push(server.process);
      await writeFile(directory.join('bundle.pem'), await server.commandOutput('bundle', 'show'));
      const token = /^Token: (\S+)/m.exec(await server.commandOutput('token', 'generate'))?.[1] ?? '';
      const create = (path: string, ttl: number): Promise<string> =>
        server.commandOutput(
          ...['entry', 'create', '--parent-id', `spiffe://example.org/spire/agent/join_token/${token}`],
          ...[
            '--spiffe-id',
            `spiffe://example.org/${path}`,
            '--selector',
            UID,
            '--x509-svid-ttl',
            String(ttl),
          ],
        );
      await create('one', 3600);
      const socket = directory.join('public', 'api.sock');
      const data = directory.join('spire-agent');
      await mkdir(data, { mode: 0o700 });
      const configuration = directory.join('agent.conf');
      await writeFile(
        configuration,
        `agent { trust_domain = "example.org" server_address = "127.0.0.1" server_port = "${server.port}" socket_path = "${socket}"
        data_dir = "${data}" trust_bundle_path = "${directory.join('bundle.pem')}" join_token = "${token}" log_level = "DEBUG" }
      plugins { NodeAttestor "join_token" { plugin_data {} } KeyManager "memory" { plugin_data {} }
        WorkloadAttestor "unix" { plugin_data {} } }`,
      );
      const agent = await launch(
        'spire-agent',
        'spire-agent',
        ['run', '-config', configuration],
        async () => {
          return (
            (
              await runProcess('spire-agent', ['healthcheck', '-socketPath', socket], {
                env,
                limitMs: 10_000,
              })
            ).code === 0
          );
        },
      );
      const fetched = async (): Promise<string> =>
        spire('spire-agent', 'api', 'fetch', 'x509', '-socketPath', socket);
      await waitFor('the SVID', async () => (await fetched()).includes('spiffe://example.org/one'), LIMIT);
      await create('two', 30);
      await waitFor('the change', async () => (await fetched()).includes('spiffe://example.org/two'), LIMIT);
      await waitFor('a renewal', () => /Renewing X509-SVID/.test(agent.output), LIMIT);
      expect(agent.output.split('\n').filter((line) => line.includes('level=error'))).toEqual([]);
    }, 240_000);
  },
);
