import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { exampleBundle, exampleEntry, exampleNode } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { recentHistory } from './recent-history.js';
import { AGENTS, calmStep, FOREIGN, rightView, step, trustDomain, type Step } from './registry-steps.js';
import { settle, WatchingAgent } from './watching-agent.js';
import { WatchStreams } from './watch-streams.js';

const LIFE_MS = 3_600_000;
const clock = new FakeClock();

interface Server {
  readonly graph: EntryGraph;
  readonly streams: WatchStreams;
  readonly rememberedSince: number;
  stop(): void;
}

/** As after a restart, or another server on the same database. */
async function serve(store: Store): Promise<Server> {
  const graph = await EntryGraph.load({ store, trustDomain, clock, log: silentLogger });
  const history = await recentHistory({ store, graph, trustDomain });
  const streams = new WatchStreams({
    ...{ graph, logId: store.logId, trustDomain, clock, log: silentLogger, history },
  });
  return {
    graph,
    streams,
    rememberedSince: history.since,
    stop: () => {
      streams.stop();
      graph.stop();
    },
  };
}

async function openRegistry(): Promise<Store> {
  const store = await openStore({ path: ':memory:', log: silentLogger });
  await store.write(async ({ bundles, nodes, entries }) => {
    for (const name of [trustDomain, ...FOREIGN]) await bundles.put(exampleBundle(name));
    for (const agentId of AGENTS) await nodes.put(exampleNode({ agentId }));
    for (const [path, selector] of [
      ['/p', 'n:a:1'],
      ['/q', 'n:b:1'],
    ] as const) {
      const alias = exampleEntry({ path, parent: '/spire/server', selectors: [selector] });
      await entries.create(alias, { id: `alias${path.slice(1)}`, createdAt: new Date(0) });
    }
  });
  return store;
}

function connect(server: Server, agent: WatchingAgent): void {
  if (server.graph.node(agent.agentId)?.isBanned !== false) return;
  agent.connect(server.streams, new Date(clock.now().getTime() + LIFE_MS));
}

async function run(store: Store, transactions: readonly (readonly [string, Step][])[]): Promise<void> {
  for (const steps of transactions) {
    await store.write(async (transaction) => {
      for (const [, change] of steps) await change(transaction);
    });
  }
}

async function expectRightView(store: Store, server: Server, agent: WatchingAgent): Promise<void> {
  if (!server.streams.isOpen(agent.agentId)) return;
  const { entries, bundles } = await rightView(store, agent.agentId);
  expect(agent.entries).toEqual(entries);
  expect(agent.bundles).toEqual(bundles);
}

describe('an agent that comes back to a server which was restarted', () => {
  it('ends up with exactly what a snapshot would give it, whatever happened before and meanwhile', async () => {
    const transactions = fc.array(
      fc.oneof(
        { arbitrary: fc.array(calmStep, { minLength: 1, maxLength: 3 }), weight: 4 },
        { arbitrary: fc.array(step, { minLength: 1, maxLength: 2 }), weight: 1 },
      ),
      { maxLength: 6 },
    );
    const rounds = fc.array(
      fc.record({ before: transactions, leaving: fc.subarray([0, 1, 2]), meanwhile: transactions }),
      { minLength: 1, maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(rounds, async (given) => {
        const store = await openRegistry();
        const agents = AGENTS.map((agentId) => new WatchingAgent(agentId));
        let server = await serve(store);
        for (const agent of agents) connect(server, agent);
        for (const { before, leaving, meanwhile } of given) {
          await run(store, before);
          await settle();
          for (const index of leaving) agents[index]?.close();
          await run(store, meanwhile.slice(0, 2));
          await settle();
          for (const agent of agents) agent.close();
          server.stop();
          await run(store, meanwhile.slice(2));
          server = await serve(store);
          for (const agent of agents) connect(server, agent);
          await settle();
          for (const agent of agents) await expectRightView(store, server, agent);
        }
        server.stop();
        await store.close();
      }),
      { numRuns: 60 },
    );
  });

  it('gets only what it missed', async () => {
    const store = await openRegistry();
    let server = await serve(store);
    const [agentId] = AGENTS;
    if (agentId === undefined) throw new Error('no agent');
    const agent = new WatchingAgent(agentId);
    connect(server, agent);
    await settle();
    agent.close();
    server.stop();
    const leaf = exampleEntry({ path: '/leaf', parent: '/spire/agent/x/1' });
    await store.write(({ entries }) => entries.create(leaf, { id: 'leaf', createdAt: new Date(0) }));
    server = await serve(store);
    agent.messages.length = 0;
    connect(server, agent);
    await settle();
    expect(agent.messages).toMatchObject([
      { kind: 'delta', upsertedEntries: [{ id: 'leaf' }], removedEntryIds: [] },
    ]);
    server.stop();
    await store.close();
  });

  it('gets a snapshot once the way to an entry has changed: nobody knows then who held what hung under it', async () => {
    const store = await openRegistry();
    const middle = exampleEntry({ path: '/middle', parent: '/spire/agent/x/1' });
    await store.write(async ({ entries }) => {
      await entries.create(middle, { id: 'middle', createdAt: new Date(0) });
      const leaf = exampleEntry({ path: '/leaf', parent: '/middle' });
      await entries.create(leaf, { id: 'leaf', createdAt: new Date(0) });
    });
    let server = await serve(store);
    const [first, second] = AGENTS.slice(0, 2).map((agentId) => new WatchingAgent(agentId));
    if (first === undefined || second === undefined) throw new Error('no agents');
    for (const agent of [first, second]) connect(server, agent);
    await settle();
    for (const agent of [first, second]) agent.close();
    server.stop();
    await store.write(({ entries }) =>
      entries.update('middle', exampleEntry({ path: '/middle', parent: '/spire/agent/x/2' })),
    );
    server = await serve(store);
    expect(server.rememberedSince).toBe(await store.currentRevision());
    for (const agent of [first, second]) connect(server, agent);
    await settle();
    expect(first.messages.at(-1)?.kind).toBe('snapshot_page');
    expect([first.entries.size, second.entries.size]).toEqual([0, 2]);
    server.stop();
    await store.close();
  });
});

describe('a long log', () => {
  const [agentId = exampleNode().agentId] = AGENTS;
  const nonceOf = (revision: number): string => `nonce${revision}`;

  /** Of so many revisions, each with so many changes, which goes on while it is read. */
  function longLog(revisions: number, changesEach: number): Parameters<typeof recentHistory>[0] {
    let revision = revisions;
    let reads = 0;
    return {
      trustDomain,
      graph: {
        get revision() {
          return revision;
        },
        get position() {
          return { revision, nonce: nonceOf(revision) };
        },
        agentsUnder: () => [agentId],
        hasChildren: () => false,
      },
      store: {
        changesSince(since, limit) {
          reads += 1;
          if (reads === 1) revision += 150;
          const count = Math.max(0, Math.min(limit, revision - since));
          return Promise.resolve(
            Array.from({ length: count }, (_, index) => ({
              revision: since + index + 1,
              nonce: nonceOf(since + index + 1),
              changes: Array.from({ length: changesEach }, (_each, item) => ({
                ...({ kind: 'entry', entryId: `e${item}`, spiffeIds: [], trustDomains: [] } as const),
                parentIds: [agentId],
              })),
            })),
          );
        },
      },
    };
  }

  it('is read back by ten thousand revisions and no further, up to where the graph is by then', async () => {
    const given = longLog(50_000, 1);
    const history = await recentHistory(given);
    expect(history.newest).toEqual({ revision: 50_150, nonce: nonceOf(50_150) });
    expect(history.since).toBe(40_150);
    expect(history.missedBy(agentId, { revision: 45_000, nonce: nonceOf(45_000) })?.entryIds.size).toBe(1);
    expect(history.missedBy(agentId, { revision: 45_000, nonce: 'another' })).toBeUndefined();
  });

  it('of large revisions is read back by a hundred thousand changes', async () => {
    const history = await recentHistory(longLog(50_000, 1000));
    expect(history.newest.revision).toBe(50_150);
    expect(history.since).toBeGreaterThan(49_700);
    expect(history.since).toBeLessThan(50_000);
  });
});
