import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, isSubset, parseSelector } from '@bonafide/shared/registration/selector';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { serverId, spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import { openStore } from '../store/open-store.js';
import type { Store, WriteTransaction } from '../store/store.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { settle, WatchingAgent } from './watching-agent.js';
import { WatchStreams } from './watch-streams.js';

const trustDomain = exampleTrustDomain('example.org');
const FOREIGN = ['a.example', 'b.example'].map(exampleTrustDomain);
const AGENTS = [1, 2, 3].map((name) => spiffeIdFromParts(trustDomain, `/spire/agent/x/${name}`));
const LIFE_MS = 3_600_000;

const path = fc.constantFrom('/p', '/q', '/r', '/s');
const nodeSelectors = fc.subarray(['n:a:1', 'n:b:1', 'n:c:1']);
const entry = fc.record({
  id: fc.constantFrom('e0', 'e1', 'e2', 'e3', 'e4', 'e5', 'e6', 'e7'),
  path,
  parent: fc.oneof(
    fc.constantFrom('/spire/agent/x/1', '/spire/agent/x/2', '/spire/server', '/spire/server'),
    path,
    path,
  ),
  selectors: fc.subarray(['n:a:1', 'n:b:1', 'n:c:1'], { minLength: 1 }),
  federatesWith: fc.oneof(fc.constant([]), fc.subarray(FOREIGN)),
  hint: fc.constantFrom(undefined, 'x'),
});
const agent = fc.constantFrom(...AGENTS);

type Step = (transaction: WriteTransaction) => Promise<void>;

const step = fc.oneof(
  {
    arbitrary: entry.map((given): [string, Step] => [`put ${JSON.stringify(given)}`, putEntry(given)]),
    weight: 6,
  },
  {
    arbitrary: fc
      .integer({ min: 0, max: 7 })
      .map((index): [string, Step] => [`delete e${index}`, deleteEntry(`e${index}`)]),
    weight: 2,
  },
  {
    arbitrary: fc
      .tuple(agent, nodeSelectors)
      .map(([agentId, selectors]): [string, Step] => [
        `attest ${agentId} ${selectors.join()}`,
        (transaction) =>
          transaction.nodes.put(exampleNode({ agentId, selectors: selectors.map(parseSelector) })),
      ]),
    weight: 2,
  },
  {
    arbitrary: agent.map((agentId): [string, Step] => [
      `ban ${agentId}`,
      async ({ nodes }) => {
        const node = await nodes.get(agentId);
        if (node !== undefined) await nodes.put({ ...node, isBanned: true });
      },
    ]),
    weight: 1,
  },
  {
    arbitrary: agent.map((agentId): [string, Step] => [
      `evict ${agentId}`,
      async ({ nodes }) => {
        if ((await nodes.get(agentId)) !== undefined) await nodes.delete(agentId);
      },
    ]),
    weight: 1,
  },
  {
    arbitrary: fc
      .tuple(fc.constantFrom(trustDomain, ...FOREIGN), fc.nat())
      .map(([name, sequenceNumber]): [string, Step] => [
        `bundle ${name} ${sequenceNumber}`,
        ({ bundles }) => bundles.put({ ...exampleBundle(name), sequenceNumber }),
      ]),
    weight: 1,
  },
);

/** What an agent goes through while the registry changes. */
const mood = fc.constantFrom('reads', 'stops reading', 'leaves', 'loses its state');

function putEntry(given: {
  readonly id: string;
  readonly path: string;
  readonly parent: string;
  readonly selectors: readonly string[];
  readonly federatesWith: readonly (typeof FOREIGN)[number][];
  readonly hint: string | undefined;
}): Step {
  return async ({ entries }) => {
    const { id, federatesWith, hint } = given;
    const content = { ...exampleEntry(given), federatesWith, hint };
    if ((await entries.get(id)) === undefined) await entries.create(content, { id, createdAt: new Date(0) });
    else await entries.update(id, content);
  };
}

function deleteEntry(id: string): Step {
  return async ({ entries }) => {
    if ((await entries.get(id)) !== undefined) await entries.delete(id);
  };
}

/** Who may hold what, found by growing the set until nothing is added: as slow and plain as can be. */
function authorizedFromScratch(
  entries: readonly RegistrationEntry[],
  node: AttestedNode | undefined,
): ReadonlyMap<string, RegistrationEntry> {
  const found = new Map<string, RegistrationEntry>();
  if (node === undefined || node.isBanned) return found;
  const held = new Set(node.selectors.map(formatSelector));
  const isAlias = (each: RegistrationEntry): boolean => each.parentId === serverId(trustDomain);
  const parents = new Set<SpiffeId>([node.agentId]);
  for (const alias of entries.filter(isAlias)) {
    if (isSubset(new Set(alias.selectors.map(formatSelector)), held)) parents.add(alias.spiffeId);
  }
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const each of entries) {
      if (isAlias(each) || !parents.has(each.parentId)) continue;
      found.set(each.id, each);
      parents.add(each.spiffeId);
    }
  }
  return found;
}

async function expectRightViews(
  store: Store,
  graph: EntryGraph,
  streams: WatchStreams,
  agents: readonly WatchingAgent[],
): Promise<void> {
  const { items } = await store.entries.list({}, { size: 0, token: undefined });
  for (const watching of agents) {
    const node = await store.nodes.get(watching.agentId);
    const expected = authorizedFromScratch(items, node);
    const fromGraph = new Map(graph.authorizedEntries(watching.agentId).map((each) => [each.id, each]));
    expect(fromGraph).toEqual(expected);
    for (const each of items) {
      expect(graph.authorizedEntry(watching.agentId, each.id)).toEqual(expected.get(each.id));
    }
    if (!streams.isOpen(watching.agentId)) {
      expect(node?.isBanned).not.toBe(false);
      continue;
    }
    expect(watching.entries).toEqual(expected);
    const wanted = new Set([trustDomain, ...[...expected.values()].flatMap((each) => each.federatesWith)]);
    const bundles = new Map<string, TrustBundle>();
    for (const name of wanted) {
      const bundle = await store.bundles.get(name);
      if (bundle !== undefined) bundles.set(name, bundle);
    }
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
}, 120_000);

function byId(entries: readonly RegistrationEntry[]): readonly RegistrationEntry[] {
  return [...entries].sort((a, b) => (a.id < b.id ? -1 : 1));
}
