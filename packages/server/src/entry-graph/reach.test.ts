import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, isSubset, parseSelector } from '@bonafide/shared/registration/selector';
import { serverId, spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { compactEntry, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import { applyChange } from './apply-change.js';
import { EntryIndex } from './entry-index.js';
import { NodeIndex } from './node-index.js';
import { authorizedEntries, isAuthorized } from './reach.js';

const SERVER = serverId(exampleTrustDomain('example.org'));
const AGENTS = [1, 2, 3, 4].map((name) => spiffeIdFromParts('example.org', `/spire/agent/x/${name}`));
const FOREIGN = ['a.example', 'b.example'].map(exampleTrustDomain);
const SELECTORS = ['n:a:1', 'n:b:1', 'n:c:1'];
const NOW = 1000;

const path = fc.constantFrom('/p', '/q', '/r', '/s');
const id = fc.integer({ min: 0, max: 11 }).map((index) => `e${index}`);
const entry = fc
  .record({
    id,
    path,
    parent: fc.oneof(fc.constantFrom('/spire/agent/x/1', '/spire/agent/x/2', '/spire/server'), path, path),
    selectors: fc.subarray(SELECTORS, { minLength: 1 }),
    federatesWith: fc.subarray(FOREIGN),
    // Some have ended, some end just now.
    expiresAt: fc.constantFrom(undefined, undefined, NOW - 1, NOW, NOW + 1, NOW + 2),
    hint: fc.constantFrom(undefined, '', 'x', '1:x'),
    dnsNames: fc.constantFrom([], ['a'], ['a', 'b'], ['b', 'a']),
    isAdmin: fc.boolean(),
    x509SvidTtlSeconds: fc.constantFrom(undefined, 60),
  })
  .map(({ path: ofEntry, parent, selectors, expiresAt, ...rest }): RegistrationEntry => ({
    ...exampleEntry({ path: ofEntry, parent, selectors }),
    ...rest,
    expiresAt: expiresAt === undefined ? undefined : new Date(expiresAt),
    revisionNumber: 3,
    createdAt: new Date(5),
  }));
const node = fc
  .record({ agentId: fc.constantFrom(...AGENTS), selectors: fc.subarray(SELECTORS), isBanned: fc.boolean() })
  .map(({ selectors, ...rest }) => exampleNode({ ...rest, selectors: selectors.map(parseSelector) }));

type Step =
  | { readonly entryId: string; readonly entry: RegistrationEntry | undefined }
  | { readonly agentId: SpiffeId; readonly node: AttestedNode | undefined };

const step: fc.Arbitrary<Step> = fc.oneof(
  { arbitrary: entry.map((given) => ({ entryId: given.id, entry: given })), weight: 6 },
  { arbitrary: id.map((entryId) => ({ entryId, entry: undefined })), weight: 2 },
  { arbitrary: node.map((given) => ({ agentId: given.agentId, node: given })), weight: 2 },
  { arbitrary: fc.constantFrom(...AGENTS).map((agentId) => ({ agentId, node: undefined })), weight: 1 },
);

class Plain {
  readonly entries = new Map<string, RegistrationEntry>();
  readonly nodes = new Map<SpiffeId, AttestedNode>();

  /** Grown until nothing is added: as slow and plain as can be. */
  authorized(agentId: SpiffeId, nowMs: number): ReadonlyMap<string, RegistrationEntry> {
    const held = new Set((this.nodes.get(agentId)?.selectors ?? []).map(formatSelector));
    const live = [...this.entries.values()].filter(
      ({ expiresAt }) => expiresAt === undefined || expiresAt.getTime() > nowMs,
    );
    const parents = new Set([agentId]);
    const found = new Map<string, RegistrationEntry>();
    for (const each of live) {
      const isAlias = each.parentId === SERVER;
      if (isAlias && isSubset(new Set(each.selectors.map(formatSelector)), held)) parents.add(each.spiffeId);
    }
    for (let size = -1; size !== found.size;) {
      size = found.size;
      for (const each of live) {
        if (each.parentId === SERVER || !parents.has(each.parentId)) continue;
        found.set(each.id, each);
        parents.add(each.spiffeId);
      }
    }
    return found;
  }
}

it('the graph holds and follows exactly what a plain computation finds, through many random changes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(step, { minLength: 1, maxLength: 5 }), { maxLength: 30 }),
      (transactions) => {
        const [entries, nodes, plain] = [new EntryIndex(SERVER), new NodeIndex(), new Plain()];
        for (const steps of transactions) {
          const before = AGENTS.map((agentId) => plain.authorized(agentId, -Infinity));
          const update = { entries: new Map(), nodes: new Map(), bundles: new Map() };
          for (const each of steps) {
            if ('entryId' in each) {
              update.entries.set(
                each.entryId,
                each.entry === undefined ? undefined : compactEntry(each.entry),
              );
              if (each.entry === undefined) plain.entries.delete(each.entryId);
              else plain.entries.set(each.entryId, each.entry);
            } else {
              update.nodes.set(each.agentId, each.node);
              if (each.node === undefined) plain.nodes.delete(each.agentId);
              else plain.nodes.set(each.agentId, each.node);
            }
          }
          const { reaches, resets } = applyChange(entries, nodes, new Map(), update);
          for (const [index, agentId] of AGENTS.entries()) {
            expectSame(entries, nodes, plain, agentId);
            if (resets.includes(agentId) || !plain.nodes.has(agentId)) continue;
            // Whatever came, went or differs for an agent, it is told of.
            const told = new Set(
              reaches.filter((reach) => reach.agents.includes(agentId)).flatMap(({ entryIds }) => entryIds),
            );
            const after = plain.authorized(agentId, -Infinity);
            const differing = [...plain.entries.keys(), ...(before[index]?.keys() ?? [])].filter(
              (each) => before[index]?.get(each) !== after.get(each),
            );
            for (const each of differing)
              expect([agentId, each, told.has(each)]).toEqual([agentId, each, true]);
          }
          expectSameIndexes(entries, plain);
        }
      },
    ),
    { numRuns: 150 },
  );
});

function expectSame(entries: EntryIndex, nodes: NodeIndex, plain: Plain, agentId: SpiffeId): void {
  const expected = plain.authorized(agentId, NOW);
  const found = authorizedEntries(entries, nodes, agentId, NOW);
  expect(found).toHaveLength(expected.size);
  for (const each of found) expect(each.toRegistrationEntry()).toEqual(expected.get(each.id));
  for (const each of plain.entries.keys()) {
    const known = entries.get(each);
    expect(known !== undefined && isAuthorized(entries, nodes, agentId, known, NOW)).toBe(expected.has(each));
  }
}

function expectSameIndexes(entries: EntryIndex, plain: Plain): void {
  expect(entries.size).toBe(plain.entries.size);
  const ends = [...plain.entries.values()].flatMap(({ expiresAt }) => expiresAt?.getTime() ?? []);
  expect(entries.earliestExpiry()?.getTime()).toBe(ends.length === 0 ? undefined : Math.min(...ends));
  for (const trustDomain of FOREIGN) {
    const expected = [...plain.entries.values()].filter((each) => each.federatesWith.includes(trustDomain));
    const found = Array.from(entries.federatingWith(trustDomain), (each) => each.id);
    expect(found.sort()).toEqual(expected.map((each) => each.id).sort());
  }
}
