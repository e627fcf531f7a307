import { systemClock } from '@bonafide/shared/runtime/clock';
import { formatSelector, isSubset, parseSelector } from '@bonafide/shared/registration/selector';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import { similarityText } from './entry-fields.js';
import { EntryPlans } from './entry-plans.js';
import type { WorkloadEffect } from './plan-effects.js';
import type { PlannedChange } from './planned-change.js';

const trustDomain = exampleTrustDomain('example.org');
const TEST_LIMIT_MS = 120_000;

const AGENTS = ['one', 'two', 'three', 'banned'].map((name) =>
  parseSpiffeId(`spiffe://example.org/spire/agent/x/${name}`),
);
const NODES = [['n:1'], ['n:1', 'n:2'], ['n:2'], ['n:1', 'n:2']].map((selectors, index) =>
  exampleNode({
    agentId: AGENTS[index] ?? exampleNode().agentId,
    selectors: selectors.map(parseSelector),
    isBanned: index === 3,
  }),
);

const content = fc
  .record({
    path: fc.constantFrom('/pay/nodes', '/pay/group', '/pay/a', '/pay/b'),
    parent: fc.constantFrom(
      '/spire/server',
      '/pay/nodes',
      '/pay/group',
      '/spire/agent/x/one',
      '/spire/agent/x/three',
      '/spire/agent/x/banned',
    ),
    selectors: fc.subarray(['n:1', 'n:2', 'unix:uid:1'], { minLength: 1 }),
    hint: fc.constantFrom(undefined, 'x'),
  })
  .map(({ hint, ...example }) => ({ ...exampleEntry(example), hint }))
  .filter(({ spiffeId, parentId }) => spiffeId !== parentId);
const contents = fc.uniqueArray(content, { maxLength: 8, selector: similarityText });
/** In a file: some by the ID of what is registered, so that aliases and what hangs under them move. */
const items = fc.uniqueArray(fc.tuple(fc.constantFrom(undefined, 'e0', 'e1', 'e2', 'e3'), content), {
  maxLength: 8,
  selector: ([, each]) => similarityText(each),
});

type Held = ReadonlyMap<SpiffeId, readonly RegistrationEntry[]>;

function heldIn(graph: EntryGraph): Held {
  return new Map(AGENTS.map((agentId) => [agentId, graph.authorizedEntries(agentId)]));
}

function holdersOf(id: string | undefined, held: Held): readonly SpiffeId[] {
  return AGENTS.filter((agentId) => held.get(agentId)?.some((entry) => entry.id === id));
}

function isGiven(entry: RegistrationEntry, agentId: SpiffeId, held: Held): boolean {
  const selectors = new Set(entry.selectors.map(formatSelector));
  return (held.get(agentId) ?? []).some(
    (each) =>
      each.spiffeId === entry.spiffeId && isSubset(new Set(each.selectors.map(formatSelector)), selectors),
  );
}

function effectText(
  kind: string,
  { spiffeId, selectors }: Pick<WorkloadEffect, 'spiffeId' | 'selectors'>,
  agents: number,
) {
  return `${kind} ${spiffeId} ${selectors.map(formatSelector).sort().join()} ${agents}`;
}

function expectedWorkloads(changes: readonly PlannedChange[], before: Held, after: Held): readonly string[] {
  const entriesOf = (held: Held): readonly RegistrationEntry[] => [
    ...new Map([...held.values()].flat().map((entry) => [entry.id, entry])).values(),
  ];
  const countMissing = (entry: RegistrationEntry, here: Held, there: Held): number =>
    holdersOf(entry.id, here).filter((agentId) => !isGiven(entry, agentId, there)).length;
  const lost = entriesOf(before).map((entry) => ({ entry, agents: countMissing(entry, before, after) }));
  const gained = entriesOf(after).map((entry) => ({ entry, agents: countMissing(entry, after, before) }));
  const moved = new Set([...lost, ...gained].filter(({ agents }) => agents > 0).map(({ entry }) => entry.id));
  const renewed = changes.flatMap((change) => {
    // What is created stands in for nobody's entry, and what is deleted is not given anew.
    if (change.kind !== 'update' || moved.has(change.before.id)) return [];
    const stayed = holdersOf(change.before.id, before).filter((id) =>
      holdersOf(change.before.id, after).includes(id),
    );
    return stayed.length === 0 ? [] : [effectText('renews', change.after, stayed.length)];
  });
  return [
    ...lost.flatMap(({ entry, agents }) => (agents === 0 ? [] : [effectText('loses', entry, agents)])),
    ...gained.flatMap(({ entry, agents }) => (agents === 0 ? [] : [effectText('gains', entry, agents)])),
    ...renewed,
  ].sort();
}

it(
  'are what the agents hold once the change is made',
  async () => {
    const store = await openStore({ path: ':memory:', log: silentLogger });
    const graph = await EntryGraph.load({ store, trustDomain, clock: systemClock, log: silentLogger });
    const plans = new EntryPlans({ store, graph, trustDomain, clock: systemClock });
    try {
      await store.write(async ({ nodes }) => {
        for (const node of NODES) await nodes.put(node);
      });
      await fc.assert(
        fc.asyncProperty(contents, items, fc.boolean(), async (registered, wanted, prunes) => {
          const { items: leftOver } = await store.entries.list({}, { size: 0, token: undefined });
          await store.write(async ({ entries }) => {
            await entries.deleteMany(leftOver.map(({ id }) => id));
            await entries.createMany(
              registered.map((each, index) => ({ id: `e${index}`, content: each, createdAt: new Date(0) })),
            );
          });
          const before = heldIn(graph);
          const file = {
            scope: parseSpiffeId('spiffe://example.org/pay'),
            prunes,
            entries: wanted.map(([id, each]) => ({ id, content: each })),
          };
          const { plan, effects, appliedRevision } = await plans.apply(file);
          if (appliedRevision === undefined) return;
          const after = heldIn(graph);

          const isUpdated = (id: string): boolean =>
            plan.changes.some((change) => change.kind === 'update' && change.before.id === id);
          const expected = AGENTS.map((agentId) => {
            const had = new Set(before.get(agentId)?.map(({ id }) => id));
            const has = new Set(after.get(agentId)?.map(({ id }) => id));
            return {
              agentId,
              gained: [...has].filter((id) => !had.has(id)).length,
              lost: [...had].filter((id) => !has.has(id)).length,
              renewed: [...has].filter((id) => had.has(id) && isUpdated(id)).length,
            };
          }).filter(({ gained, lost, renewed }) => gained + lost + renewed > 0);
          expect(effects.agents).toEqual(expected.sort((a, b) => (a.agentId < b.agentId ? -1 : 1)));
          expect(effects.workloads.map((each) => effectText(each.kind, each, each.agents)).sort()).toEqual(
            expectedWorkloads(plan.changes, before, after),
          );
        }),
        { numRuns: 150 },
      );
    } finally {
      graph.stop();
      await store.close();
    }
  },
  TEST_LIMIT_MS,
);
