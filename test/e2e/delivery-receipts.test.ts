import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchPostgres, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const NODE = 'spiffe://example.org/node';
const LIMIT = { limitMs: 150_000 };
const START_LIMIT_MS = 180_000;
const TEST_LIMIT_MS = 120_000;
/** `--wait` of a change that arrives: it ends as soon as that is known. */
const LONG = '--wait=20s';

let entries = 0;

/** An entry of all agents. */
function create(server: LaunchedServer, ...flags: readonly string[]) {
  entries += 1;
  return server.command(
    ...['entry', 'create', '--parent-id', NODE, '--spiffe-id', `spiffe://example.org/w${entries}`],
    ...['--selector', `unix:uid:${70_000 + entries}`, ...flags],
  );
}

/** What `--output json` says of those that lack the change: `behind` or `offline`, by agent. */
function undelivered(stdout: string): ReadonlyMap<string, object> {
  const { delivery } = JSON.parse(stdout) as {
    delivery: { undelivered: readonly ({ agent_id: string } & object)[] };
  };
  return new Map(delivery.undelivered.map((agent) => [agent.agent_id, agent]));
}

/** Agents that come back may take a while to find their server. */
async function deliveredTo(count: number, server: LaunchedServer): Promise<void> {
  const all = `Delivered to ${count} of ${count} agents in `;
  await waitFor(
    'all agents to hold a change',
    async () => {
      const { code, stdout } = await create(server, LONG);
      return code === 0 && stdout.includes(all);
    },
    LIMIT,
  );
}

function signal(agent: LaunchedAgent, name: NodeJS.Signals): void {
  process.kill(agent.process.pid, name);
}

describe('a server and its agents', () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  const agents: LaunchedAgent[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    server = await launchServer({ directory: directory.path });
    const names = ['runs', 'stops', 'dies'];
    agents.push(
      ...(await Promise.all(
        names.map((name) => launchAgent({ server, directory: directory.path, name, spiffeId: NODE })),
      )),
    );
  }, START_LIMIT_MS);

  afterAll(async () => {
    for (const agent of agents) await agent.kill9();
    await server.stop().catch(() => server.kill9());
    directory.remove();
  }, START_LIMIT_MS);

  it(
    'say of a change that it is delivered, that an agent is behind, and that one is offline',
    async () => {
      const [, stopped, dead] = agents;
      if (stopped === undefined || dead === undefined) throw new Error('three agents were launched');
      const all = await create(server, LONG);
      expect(all.stderr).toBe('');
      expect(all.stdout).toMatch(/\nDelivered to 3 of 3 agents in \d+(\.\d+)? m?s\n$/);
      expect(all.code).toBe(0);

      signal(stopped, 'SIGSTOP');
      const behind = await create(server, '--wait=1s');
      expect(behind.code).toBe(1);
      expect(behind.stdout).toContain('Delivered to 2 of 3 agents in ');
      expect(behind.stdout).toMatch(new RegExp(`\n  ${stopped.spiffeId}: behind by \\d+ revisions?\n$`));
      expect(behind.stderr).toBe('Error: the change stands, but 1 agent does not hold it yet\n');

      await dead.kill9();
      const two = await waitFor(
        'the killed agent to be offline',
        async () => {
          const { code, stdout } = await create(server, '--wait=1s', '--output', 'json');
          expect(code).toBe(1);
          const lacking = undelivered(stdout);
          return 'offline' in (lacking.get(dead.spiffeId) ?? {}) && lacking;
        },
        LIMIT,
      );
      expect(two.get(dead.spiffeId)).toMatchObject({ offline: { is_exact: true } });
      expect(two.get(stopped.spiffeId)).toHaveProperty('behind');
      expect(two.size).toBe(2);

      signal(stopped, 'SIGCONT');
      await waitFor(
        'the stopped agent to go on',
        async () => {
          const { stdout } = await create(server, '--wait=5s', '--output', 'json');
          return [...undelivered(stdout).keys()].join() === dead.spiffeId;
        },
        LIMIT,
      );

      await dead.process.start();
      await deliveredTo(3, server);
    },
    TEST_LIMIT_MS,
  );
});

describe('two servers on one PostgreSQL and their agents', () => {
  let directory: TemporaryDirectory;
  let postgres: LaunchedPostgres;
  const servers: LaunchedServer[] = [];
  const agents: LaunchedAgent[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    postgres = await launchPostgres({ directory: directory.path });
    const url = await postgres.createDatabase('delivery');
    for (const name of ['one', 'two']) {
      const datastore = { type: 'postgres', url };
      const server = await launchServer({ directory: directory.path, name, config: { datastore } });
      servers.push(server);
      const agent = { server, directory: directory.path, name: `agent-${name}`, spiffeId: NODE };
      agents.push(await launchAgent(agent));
    }
  }, START_LIMIT_MS);

  afterAll(async () => {
    for (const agent of agents) await agent.kill9();
    for (const server of servers) await server.stop().catch(() => server.kill9());
    await postgres.stop();
    directory.remove();
  }, START_LIMIT_MS);

  it(
    'answer for each other, also when one of them is killed and comes back',
    async () => {
      const [one, two] = servers;
      const [, far] = agents;
      if (one === undefined || two === undefined || far === undefined) throw new Error('two were launched');
      for (const server of servers) {
        const created = await create(server, LONG);
        expect(created.stdout).toContain('Delivered to 2 of 2 agents in ');
        expect(created.code).toBe(0);
      }

      signal(far, 'SIGSTOP');
      const behind = await create(one, '--wait=2s', '--output', 'json');
      signal(far, 'SIGCONT');
      expect(behind.code).toBe(1);
      expect([...undelivered(behind.stdout)]).toMatchObject([
        [far.spiffeId, { behind: { server_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as string } }],
      ]);

      await two.kill9();
      const gone = await waitFor(
        'the agent of the killed server to be offline',
        async () => {
          const { stdout } = await create(one, '--wait=1s', '--output', 'json');
          const lacking = undelivered(stdout);
          return 'offline' in (lacking.get(far.spiffeId) ?? {}) && lacking;
        },
        LIMIT,
      );
      expect([...gone.keys()]).toEqual([far.spiffeId]);

      await two.process.start();
      await deliveredTo(2, one);
    },
    TEST_LIMIT_MS,
  );
});
