import { mkdir } from 'node:fs/promises';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchPostgres } from '@bonafide/testing/launch-postgres';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CallingWorkloads } from '../faults/calling-workloads.js';

const UID = `unix:uid:${process.getuid?.() ?? 0}`;
/** Beyond what the server promises: the machine may be busy. */
const PATIENCE_MS = 30_000;

describe('a server that is asked to stop', () => {
  let directory: TemporaryDirectory;
  let launched: AsyncDisposable[];

  beforeEach(() => {
    directory = createTemporaryDirectory({ isPublic: true });
    launched = [];
  });
  afterEach(async () => {
    for (const each of launched.toReversed()) await each[Symbol.asyncDispose]();
    directory.remove();
  });

  function started<Launched extends AsyncDisposable>(each: Launched): Launched {
    launched.push(each);
    return each;
  }

  async function startAgent(servers: readonly LaunchedServer[]): Promise<LaunchedAgent> {
    const [server] = servers;
    if (server === undefined) throw new Error('an agent needs a server');
    const home = directory.join('node');
    await mkdir(home);
    return started(
      await launchAgent({
        server,
        directory: home,
        config: {
          agent: {
            server_address: undefined,
            server_port: undefined,
            server_addresses: servers.map(({ port }) => `127.0.0.1:${port}`),
            admin_socket_path: directory.join('admin', 'admin.sock'),
          },
        },
      }),
    );
  }

  /** Where the agent says that it is connected. */
  async function portOfServer(): Promise<number> {
    const { stdout } = await runCommand('agent', [
      ...['survival', '--socket-path', directory.join('admin', 'admin.sock')],
    ]);
    return Number(/^Connected to 127\.0\.0\.1:(\d+)$/m.exec(stdout)?.[1]);
  }

  async function create(server: LaunchedServer, agent: LaunchedAgent, path: string): Promise<void> {
    const flags = ['--parent-id', agent.spiffeId, '--spiffe-id', `spiffe://example.org${path}`];
    await server.commandOutput('entry', 'create', ...flags, '--selector', UID);
  }

  async function hasReached(agent: LaunchedAgent, path: string): Promise<void> {
    await waitFor(
      `${path} to arrive`,
      async () => {
        const { stdout } = await agent.command(['api', 'fetch', 'x509']);
        return stdout.includes(`spiffe://example.org${path}\n`);
      },
      { limitMs: 150_000, explain: () => agent.process.output },
    );
  }

  /** How long it took to end. */
  async function stop(server: LaunchedServer): Promise<number> {
    const startedMs = performance.now();
    await server.stop();
    return performance.now() - startedMs;
  }

  const snapshotsOf = (agent: LaunchedAgent): number =>
    agent.process.output.split('\n').filter((line) => /took in a change.*snapshot/.test(line)).length;

  it('sends its agents to another one within the spread, and nobody notices', async () => {
    const SPREAD_MS = 4_000;
    const postgres = started(await launchPostgres({ directory: directory.path }));
    const url = await postgres.createDatabase('bonafide');
    const config = { datastore: { type: 'postgres', url }, server: { drain_spread: `${SPREAD_MS / 1000}s` } };
    const servers: LaunchedServer[] = [];
    for (const name of ['a', 'b']) {
      servers.push(started(await launchServer({ directory: directory.path, name, config })));
    }
    const agent = await startAgent(servers);
    const present = await waitFor('the agent to be connected', async () => {
      const port = await portOfServer();
      return servers.find((server) => server.port === port);
    });
    const other = servers.find((server) => server !== present) ?? present;
    using workloads = await CallingWorkloads.start({ server: other, agent, directory: directory.path });

    const ended = stop(present);
    await create(other, agent, '/created-while-it-stops');
    await hasReached(agent, '/created-while-it-stops');
    expect(await ended).toBeLessThan(SPREAD_MS + 1_000 + PATIENCE_MS);
    expect(await portOfServer()).toBe(other.port);
    // Signed by the other server, whose authority is another one.
    await workloads.renew();
    await workloads.keepCalling();
    expect(workloads.counts.failed).toBe(0);
    expect(agent.process.output).toContain('the server is about to stop; going to another one');
    expect(agent.process.output).not.toMatch(/lost touch|cannot obtain/);
    expect(snapshotsOf(agent)).toBe(1);
  });

  it('stops at once when there is no other one, and its agents come back and miss nothing', async () => {
    const config = { server: { drain_spread: '60s' } };
    const server = started(await launchServer({ directory: directory.path, config }));
    const agent = await startAgent([server]);
    using workloads = await CallingWorkloads.start({ server, agent, directory: directory.path });

    expect(await stop(server)).toBeLessThan(2_000 + PATIENCE_MS);
    await workloads.keepCalling();
    await server.restart();
    await create(server, agent, '/created-afterwards');
    await hasReached(agent, '/created-afterwards');
    await workloads.renew();
    expect(workloads.counts.failed).toBe(0);
    expect(agent.process.output).toContain('the server is stopping');
    expect(snapshotsOf(agent)).toBe(1);
  });
});
