import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  authorizeMemberOf,
  createHttpsServer,
  parseTrustDomain,
  tlsClientOptions,
  X509Source,
} from '@bonafide/sdk';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchPostgres, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const NODE = 'spiffe://example.org/node';
const NAMES = ['a', 'b', 'c'] as const;
const LIMIT = { limitMs: 150_000 };
const TEST_LIMIT_MS = 180_000;

interface Site {
  readonly server: LaunchedServer;
  readonly agent: LaunchedAgent;
}

describe('three servers on one database', { timeout: TEST_LIMIT_MS }, () => {
  let directory: TemporaryDirectory;
  let postgres: LaunchedPostgres;
  let url: string;
  const servers: LaunchedServer[] = [];
  const agents: LaunchedAgent[] = [];
  const sources: X509Source[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    postgres = await launchPostgres({ directory: directory.path });
    url = await postgres.createDatabase('bonafide');
    const config = { datastore: { type: 'postgres', url } };
    const launchedServers = await Promise.all(
      NAMES.map((name) => launchServer({ directory: directory.path, name, config })),
    );
    servers.push(...launchedServers);
    const launched = await Promise.all(
      servers.map((server, index) =>
        launchAgent({
          server,
          directory: directory.path,
          name: `agent-${NAMES[index] ?? ''}`,
          spiffeId: NODE,
        }),
      ),
    );
    agents.push(...launched);
    await register(at(0).server, '/workload');
    sources.push(...(await Promise.all(agents.map(({ address }) => X509Source.create({ address })))));
  }, TEST_LIMIT_MS);

  afterAll(async () => {
    for (const source of sources) await source.close();
    for (const agent of agents) await agent.kill9();
    await Promise.all(servers.map((server) => server.stop().catch(() => server.kill9())));
    await postgres.stop();
    directory.remove();
  }, TEST_LIMIT_MS);

  function at(index: number): Site {
    const server = servers[index];
    const agent = agents[index];
    if (server === undefined || agent === undefined) throw new Error(`there is no server ${index}`);
    return { server, agent };
  }

  function sourceAt(index: number): X509Source {
    const source = sources[index];
    if (source === undefined) throw new Error(`there is no source ${index}`);
    return source;
  }

  /** Of every agent, for all processes of this user. */
  async function register(server: LaunchedServer, path: string, ...more: readonly string[]): Promise<void> {
    await server.commandOutput(
      ...['entry', 'create', '--parent-id', NODE, '--spiffe-id', `spiffe://example.org${path}`],
      ...['--selector', `unix:uid:${process.getuid?.() ?? 0}`, '--hint', path, ...more],
    );
  }

  async function holds(agent: LaunchedAgent, path: string): Promise<boolean> {
    const { stdout } = await agent.command(['api', 'fetch', 'x509', '--output', 'json']);
    return stdout.includes(`spiffe://example.org${path}"`);
  }

  function issuerOf(source: X509Source): string | undefined {
    const [leaf] = source.svid.certificateChain;
    return leaf === undefined ? undefined : parseX509Certificate(leaf).authorityKeyId;
  }

  async function isAnswered(client: X509Source, server: X509Source): Promise<boolean> {
    const anyone = authorizeMemberOf(parseTrustDomain('example.org'));
    const listener = createHttpsServer(server, anyone, (_request, response) => {
      response.end('hello');
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    try {
      const { port } = listener.address() as AddressInfo;
      const request = https.get({
        host: '127.0.0.1',
        port,

        ...tlsClientOptions(client, anyone),
      });
      await once(request, 'response');
      request.destroy();
      return true;
    } finally {
      listener.closeAllConnections();
      listener.close();
    }
  }

  it('sign under an authority each, and everybody verifies everybody', async () => {
    expect(new Set(sources.map(issuerOf)).size).toBe(3);
    for (const client of sources)
      for (const server of sources) expect(await isAnswered(client, server)).toBe(true);
  });

  it('bring what one is told to the agents of all', async () => {
    const startedMs = performance.now();
    const arrivals = sources.map(async (source) => {
      await once(source, 'update');
      return performance.now();
    });
    await register(at(0).server, '/told-to-a');
    const answeredMs = performance.now();
    const lastMs = Math.max(...(await Promise.all(arrivals)));
    for (const { agent } of [at(1), at(2)]) expect(await holds(agent, '/told-to-a')).toBe(true);
    process.stdout.write(
      `created at A: the command took ${Math.round(answeredMs - startedMs)} ms, every workload had its SVID ${Math.round(lastMs - startedMs)} ms after it began\n`,
    );
  });

  it('take a join token once, whichever they are brought it, and end the streams of an agent that another of them bans', async () => {
    const output = await at(0).server.commandOutput('token', 'generate');
    const joinToken = /^Token: (\S+)$/m.exec(output)?.[1] ?? '';
    const options = { directory: directory.path, joinToken };
    const banned = await launchAgent({ ...options, server: at(1).server, name: 'banned' });
    agents.push(banned);
    await expect(launchAgent({ ...options, server: at(0).server, name: 'second' })).rejects.toThrow(
      /join token/,
    );
    await at(0).server.commandOutput('agent', 'ban', '--spiffe-id', banned.spiffeId);
    await waitFor('the banned agent to end', () => !banned.process.isRunning, LIMIT);
    expect(banned.process.output).toContain('is banned');
  });

  it('pass a federated bundle on', async () => {
    const foreign = await TestAuthority.create('foreign.test');
    const path = join(directory.path, 'foreign.pem');
    const [authority] = foreign.bundle().x509Authorities;
    await writeFile(path, encodePem('CERTIFICATE', authority?.certificate ?? Buffer.alloc(0)));
    await at(0).server.commandOutput('bundle', 'set', '--id', 'spiffe://foreign.test', '--path', path);
    await register(at(1).server, '/federated', '--federates-with', 'spiffe://foreign.test');
    await waitFor(
      'the foreign bundle',
      () => [...sourceAt(2).bundles.keys()].some((name) => name === 'foreign.test'),
      LIMIT,
    );
  });

  it('replace what stands under an authority that is tainted, and nothing else', async () => {
    const { server } = at(0);
    const before = sources.map(issuerOf);
    const authorities = async (): Promise<string> => server.commandOutput('localauthority', 'x509', 'show');
    const old = before[0] ?? '';
    expect(await authorities()).toContain(old);
    const idIn = (text: string): string => /Authority ID\s*: (\S+)/.exec(text)?.[1] ?? '';
    const prepared = idIn(await server.commandOutput('localauthority', 'x509', 'prepare'));
    await server.commandOutput('localauthority', 'x509', 'activate', '--authority-id', prepared);
    const elsewhere = await at(1).server.command('localauthority', 'x509', 'taint', '--authority-id', old);
    expect(elsewhere.code).toBe(1);
    expect(elsewhere.stderr).toContain('run this command there');
    await server.commandOutput('localauthority', 'x509', 'taint', '--authority-id', old);
    await waitFor('new SVIDs at A', () => issuerOf(sourceAt(0)) === prepared, LIMIT);
    expect(sources.slice(1).map(issuerOf)).toEqual(before.slice(1));
    for (const client of sources) expect(await isAnswered(client, sourceAt(0))).toBe(true);
  });

  it('serve without the database, say so, and recover by themselves', async () => {
    await postgres.stop();
    const outage = NAMES.map(async (_name, index) => {
      const { server, agent } = at(index);
      await waitFor(
        'the server to say what is degraded',
        async () =>
          (await server.commandOutput('healthcheck')).includes('The database cannot be reached since'),
        LIMIT,
      );
      const fetched = await agent.command(['api', 'fetch', 'jwt', '--audience', 'while-away']);
      expect(fetched.code, fetched.stderr).toBe(0);
      const refused = await server.command('token', 'generate');
      expect(refused.code).toBe(1);
    });
    await Promise.all(outage);
    await postgres.start();
    const recovery = NAMES.map(async (_name, index) => {
      const { server } = at(index);
      await waitFor(
        'the server to be well',
        async () => (await server.commandOutput('healthcheck')) === 'Server is healthy.\n',
        LIMIT,
      );
    });
    await Promise.all(recovery);
    expect(await at(1).server.commandOutput('entry', 'show')).toContain('spiffe://example.org/told-to-a');
    await register(at(2).server, '/afterwards');
    await waitFor('the entry', () => holds(at(0).agent, '/afterwards'), LIMIT);
  });

  it('go on when one of them is killed', async () => {
    await at(0).server.kill9();
    await register(at(1).server, '/without-a');
    await waitFor('the entry', () => holds(at(2).agent, '/without-a'), LIMIT);
    expect(await isAnswered(sourceAt(1), sourceAt(0))).toBe(true);
  });
});
