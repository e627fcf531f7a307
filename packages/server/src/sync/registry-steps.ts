/** For tests: random changes of a small registry, and what each agent may then hold, found in the plainest way. */
import fc from 'fast-check';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, isSubset, parseSelector } from '@bonafide/shared/registration/selector';
import { serverId, spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import type { Store, WriteTransaction } from '../store/store.js';

export const trustDomain = exampleTrustDomain('example.org');
export const FOREIGN = ['a.example', 'b.example'].map(exampleTrustDomain);
export const AGENTS = [1, 2, 3].map((name) => spiffeIdFromParts(trustDomain, `/spire/agent/x/${name}`));

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

export type Step = (transaction: WriteTransaction) => Promise<void>;

/** A change with its description. */
export const step = fc.oneof(
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

/** Two entries a transaction, most of them hanging right under an agent or an alias: a history that can be told backwards. */
export const calmStep = fc
  .record({
    id: fc.constantFrom('c0', 'c1', 'c2', 'c3', 'c4', 'c5'),
    path: fc.constantFrom('/leaf/1', '/leaf/2', '/leaf/3'),
    parent: fc.constantFrom('/spire/agent/x/1', '/spire/agent/x/2', '/p', '/q'),
    selectors: fc.constant(['n:a:1']),
    federatesWith: fc.oneof(fc.constant([]), fc.subarray(FOREIGN)),
    hint: fc.constantFrom(undefined, 'x', 'y'),
    isGone: fc.boolean(),
  })
  .map((given): [string, Step] =>
    given.isGone
      ? [`delete ${given.id}`, deleteEntry(given.id)]
      : [`put ${JSON.stringify(given)}`, putEntry(given)],
  );

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

/** Entries and bundles, by name, that the agent may hold now. */
export async function rightView(
  store: Store,
  agentId: SpiffeId,
): Promise<{
  readonly node: AttestedNode | undefined;
  readonly entries: ReadonlyMap<string, RegistrationEntry>;
  readonly bundles: ReadonlyMap<string, unknown>;
}> {
  const { items } = await store.entries.list({}, { size: 0, token: undefined });
  const node = await store.nodes.get(agentId);
  const entries = authorizedFromScratch(items, node);
  const wanted = new Set([trustDomain, ...[...entries.values()].flatMap((each) => each.federatesWith)]);
  const bundles = new Map<string, unknown>();
  for (const name of wanted) {
    const bundle = await store.bundles.get(name);
    if (bundle !== undefined) bundles.set(name, bundle);
  }
  return { node, entries, bundles };
}
