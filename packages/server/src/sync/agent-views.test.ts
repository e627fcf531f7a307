import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleBundle, exampleNode } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { AGENTS, FOREIGN, rightView, step, trustDomain } from './registry-steps.js';
import { settle, WatchingAgent } from './watching-agent.js';
import { WatchStreams } from './watch-streams.js';

const LIFE_MS = 3_600_000;

/** What an agent goes through while the registry changes. */
const mood = fc.constantFrom('reads', 'stops reading', 'leaves', 'loses its state');

async function expectRightViews(
  store: Store,
  graph: EntryGraph,
  streams: WatchStreams,
  agents: readonly WatchingAgent[],
): Promise<void> {
  const { items } = await store.entries.list({}, { size: 0, token: undefined });
  for (const watching of agents) {
    const { node, entries, bundles } = await rightView(store, watching.agentId);
    const fromGraph = new Map(graph.authorizedEntries(watching.agentId).map((each) => [each.id, each]));
    expect(fromGraph).toEqual(entries);
    for (const each of items) {
      expect(graph.authorizedEntry(watching.agentId, each.id)).toEqual(entries.get(each.id));
    }
    if (!streams.isOpen(watching.agentId)) {
      expect(node?.isBanned).not.toBe(false);
      continue;
    }
    expect(watching.entries).toEqual(entries);
    expect(watching.bundles).toEqual(bundles);
  }
}

it('an agent that applies what it is told always ends up with exactly what it may hold', async () => {
  const rounds = fc.array(
    fc.record({
      moods: fc.array(mood, { minLength: AGENTS.length, maxLength: AGENTS.length }),
      transactions: fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 }),
    }),
    { minLength: 1, maxLength: 5 },
  );
  await fc.assert(
    fc.asyncProperty(rounds, fc.constantFrom(3, 1000), async (given, maxWaitingEntries) => {
      const clock = new FakeClock();
      const store = await openStore({ path: ':memory:', log: silentLogger });
      await store.write(async ({ bundles, nodes }) => {
        for (const name of FOREIGN) await bundles.put(exampleBundle(name));
        for (const agentId of AGENTS) await nodes.put(exampleNode({ agentId }));
      });
      const graph = await EntryGraph.load({ store, trustDomain, clock, log: silentLogger });
      const options = { graph, logId: store.logId, trustDomain, clock, log: silentLogger };
      const streams = new WatchStreams({ ...options, maxWaitingEntries });
      const agents = AGENTS.map((agentId) => new WatchingAgent(agentId));
      const connect = (watching: WatchingAgent): void => {
        if (graph.node(watching.agentId)?.isBanned !== false) return;
        watching.connect(streams, new Date(clock.now().getTime() + LIFE_MS));
      };
      for (const watching of agents) connect(watching);
      for (const { moods, transactions } of given) {
        for (const [index, watching] of agents.entries()) {
          if (moods[index] === 'stops reading') watching.pause();
          if (moods[index] === 'leaves' || moods[index] === 'loses its state') watching.close();
          if (moods[index] === 'loses its state') {
            watching.logId = '';
            watching.entries = new Map();
            watching.bundles = new Map();
          }
        }
        for (const steps of transactions) {
          await store.write(async (transaction) => {
            for (const [, run] of steps) await run(transaction);
          });
        }
        for (const watching of agents) {
          await watching.resume();
          if (!streams.isOpen(watching.agentId)) connect(watching);
        }
        await settle();
        await expectRightViews(store, graph, streams, agents);
      }
      const reloaded = await EntryGraph.load({ store, trustDomain, clock, log: silentLogger });
      for (const agentId of AGENTS) {
        expect(byId(reloaded.authorizedEntries(agentId))).toEqual(byId(graph.authorizedEntries(agentId)));
      }
      streams.stop();
      graph.stop();
      reloaded.stop();
      expect(clock.pendingTimers).toBe(0);
      await store.close();
    }),
    { numRuns: 25 },
  );
});

function byId(entries: readonly RegistrationEntry[]): readonly RegistrationEntry[] {
  return [...entries].sort((a, b) => (a.id < b.id ? -1 : 1));
}
