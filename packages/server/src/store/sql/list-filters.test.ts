import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import {
  formatSelector,
  matchesSet,
  parseSelector,
  type MatchBehavior,
} from '@bonafide/shared/registration/selector';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { agentId, spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { EntryFilter } from '../entry-record.js';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../example-records.js';
import type { AttestedNode } from '../node-record.js';
import { openStore } from '../open-store.js';
import type { Page, PageRequest } from '../store.js';
import { DATABASES, useStores } from '../store-fixtures.js';
import { MAX_NAMED } from './sets.js';

const SELECTORS = ['unix:uid:0', 'unix:uid:1', 'unix:gid:0', 'k8s:ns:a', 'k8s:ns:a:b'];
const FOREIGN = ['a.example', 'b.example', 'c.example'].map(exampleTrustDomain);
const MATCHES: readonly MatchBehavior[] = ['exact', 'subset', 'superset', 'any'];

const selectorSet = fc.subarray(SELECTORS, { minLength: 1 });
const content = fc.record({
  path: fc.constantFrom('/a', '/b', '/c'),
  parent: fc.constantFrom('/spire/agent/x/1', '/spire/agent/x/2', '/a'),
  selectors: selectorSet,
  federatesWith: fc.subarray(FOREIGN),
  hint: fc.constantFrom(undefined, 'internal', 'external'),
  isDownstream: fc.boolean(),
});
const match = fc.constantFrom(...MATCHES);
const filter = fc.record(
  {
    spiffeId: fc.constantFrom('/a', '/b'),
    parentId: fc.constantFrom('/spire/agent/x/1', '/a'),
    selectors: fc.record({ named: selectorSet, match }),
    federatesWith: fc.record({ named: fc.subarray(FOREIGN, { minLength: 1 }), match }),
    hint: fc.constantFrom('internal', 'none'),
    isDownstream: fc.boolean(),
  },
  { requiredKeys: [] },
);

/** What the filter means, without SQL. */
function isMatch(entry: RegistrationEntry, wanted: EntryFilter): boolean {
  return (
    (wanted.spiffeId === undefined || entry.spiffeId === wanted.spiffeId) &&
    (wanted.parentId === undefined || entry.parentId === wanted.parentId) &&
    (wanted.hint === undefined || entry.hint === wanted.hint) &&
    (wanted.isDownstream === undefined || entry.isDownstream === wanted.isDownstream) &&
    (wanted.selectors === undefined ||
      matches(
        entry.selectors.map(formatSelector),
        wanted.selectors.named.map(formatSelector),
        wanted.selectors.match,
      )) &&
    (wanted.federatesWith === undefined ||
      matches(entry.federatesWith, wanted.federatesWith.named, wanted.federatesWith.match))
  );
}

/** As SPIRE: an empty set is nobody's subset. */
function matches(candidate: readonly string[], named: readonly string[], behavior: MatchBehavior): boolean {
  return candidate.length > 0 && matchesSet(new Set(candidate), new Set(named), behavior);
}

async function allPages<T>(
  list: (page: PageRequest) => Promise<Page<T>>,
  size: number,
): Promise<readonly (readonly T[])[]> {
  const pages: (readonly T[])[] = [];
  let token: string | undefined;
  do {
    const page = await list({ size, token });
    pages.push(page.items);
    token = page.nextPageToken;
  } while (token !== undefined);
  return pages;
}

describe('a list of entries', () => {
  it('has exactly those the filter means, in the order of their ids, however it is paged', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { maxLength: 25 }),
        fc.array(filter, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 7 }),
        async (contents, filters, pageSize) => {
          const store = await openStore({ path: ':memory:', log: silentLogger });
          const created = await store.write(async ({ bundles, entries }) => {
            for (const trustDomain of FOREIGN) await bundles.put(exampleBundle(trustDomain));
            const all: RegistrationEntry[] = [];
            for (const { path, parent, selectors, ...rest } of contents) {
              const entry = { ...exampleEntry({ path, parent, selectors }), ...rest };
              all.push(await entries.create(entry, { id: undefined, createdAt: new Date(0) }));
            }
            return all;
          });
          created.sort((a, b) => (a.id < b.id ? -1 : 1));
          for (const { spiffeId, parentId, selectors, ...rest } of filters) {
            const wanted: EntryFilter = {
              ...rest,
              spiffeId: spiffeId === undefined ? undefined : spiffeIdFromParts('example.org', spiffeId),
              parentId: parentId === undefined ? undefined : spiffeIdFromParts('example.org', parentId),
              selectors:
                selectors === undefined
                  ? undefined
                  : { named: selectors.named.map(parseSelector), match: selectors.match },
            };
            const expected = created.filter((entry) => isMatch(entry, wanted));
            const whole = await store.entries.list(wanted, { size: 0, token: undefined });
            expect(whole).toEqual({ items: expected, nextPageToken: undefined });
            expect(await store.entries.count(wanted)).toBe(expected.length);
            const pages = await allPages((page) => store.entries.list(wanted, page), pageSize);
            expect(pages.flat()).toEqual(expected);
            expect(pages.slice(0, -1).every((page) => page.length === pageSize)).toBe(true);
          }
          await store.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('stays right as entries are updated and deleted', async () => {
    const store = await openStore({ path: ':memory:', log: silentLogger });
    const byUid = (value: string): Promise<number> =>
      store.entries.count({ selectors: { named: [parseSelector(`unix:uid:${value}`)], match: 'any' } });
    await store.write(async ({ entries }) => {
      await entries.create(exampleEntry({ selectors: ['unix:uid:1'] }), { id: 'a', createdAt: new Date(0) });
    });
    await store.write(({ entries }) => entries.update('a', exampleEntry({ selectors: ['unix:uid:2'] })));
    expect([await byUid('1'), await byUid('2')]).toEqual([0, 1]);
    await store.write(({ entries }) => entries.delete('a'));
    expect(await byUid('2')).toBe(0);
    await store.close();
  });

  it('refuses an empty set and one that is too large', async () => {
    const store = await openStore({ path: ':memory:', log: silentLogger });
    const count = (named: readonly TrustDomain[]): Promise<number> =>
      store.entries.count({ federatesWith: { named, match: 'any' } });
    await expect(count([])).rejects.toMatchObject({ reason: 'invalid_argument' });
    const many = Array.from({ length: MAX_NAMED + 1 }, (_, index) => exampleTrustDomain(`td${index}`));
    await expect(count(many)).rejects.toMatchObject({ reason: 'invalid_argument' });
    expect(await count(many.slice(1))).toBe(0);
    await store.close();
  });
});

describe('a similar entry', () => {
  it('has the same SPIFFE ID, parent and set of selectors, in whatever order and however often they are named', async () => {
    const store = await openStore({ path: ':memory:', log: silentLogger });
    const selectors = ['unix:uid:1', 'unix:gid:2'];
    await store.write(({ entries }) =>
      entries.create(exampleEntry({ selectors }), { id: 'a', createdAt: new Date(0) }),
    );
    const similar = async (given: Parameters<typeof exampleEntry>[0]): Promise<string | undefined> =>
      (await store.entries.findSimilar(exampleEntry(given)))?.id;
    expect(await similar({ selectors: ['unix:gid:2', 'unix:uid:1', 'unix:gid:2'] })).toBe('a');
    expect(await similar({ selectors: ['unix:uid:1'] })).toBeUndefined();
    expect(await similar({ selectors: [...selectors, 'unix:gid:3'] })).toBeUndefined();
    expect(await similar({ selectors, path: '/other' })).toBeUndefined();
    expect(await similar({ selectors, parent: '/other' })).toBeUndefined();
    await store.close();
  });
});

describe('a list of nodes', () => {
  it('has exactly those the filter means', async () => {
    const node = fc.record({
      attestationType: fc.constantFrom('join_token', 'tpm'),
      selectors: fc.subarray(SELECTORS).map((texts) => texts.map(parseSelector).sort(bySelector)),
      isBanned: fc.boolean(),
      canReattest: fc.boolean(),
      expiresAt: fc.integer({ min: 0, max: 3 }).map((time) => new Date(time)),
    });
    const nodeFilter = fc.record(
      {
        attestationType: fc.constantFrom('join_token', 'none'),
        selectors: fc.record({ named: selectorSet, match }),
        isBanned: fc.boolean(),
        canReattest: fc.boolean(),
        expiresBefore: fc.integer({ min: 0, max: 4 }).map((time) => new Date(time)),
      },
      { requiredKeys: [] },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(node, { maxLength: 12 }),
        fc.array(nodeFilter, { minLength: 1, maxLength: 8 }),
        async (given, filters) => {
          const store = await openStore({ path: ':memory:', log: silentLogger });
          const all = given.map((parts, index) =>
            exampleNode({ ...parts, agentId: agentId(exampleTrustDomain('example.org'), 'x', `n${index}`) }),
          );
          all.sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
          await store.write(async ({ nodes }) => {
            // Every node is replaced once, so that nothing of what it was before may show.
            for (const each of all) await nodes.put({ ...each, selectors: [parseSelector('unix:uid:1')] });
            for (const each of all) await nodes.put(each);
          });
          for (const { selectors, ...rest } of filters) {
            const named = selectors?.named.map(parseSelector) ?? [];
            const expected = all.filter((each) => isNodeMatch(each, rest, selectors));
            const wanted = selectors === undefined ? rest : { ...rest, selectors: { ...selectors, named } };
            expect((await store.nodes.list(wanted, { size: 0, token: undefined })).items).toEqual(expected);
            expect(await store.nodes.count(wanted)).toBe(expected.length);
            const pages = await allPages((page) => store.nodes.list(wanted, page), 3);
            expect(pages.flat()).toEqual(expected);
          }
          await store.close();
        },
      ),
      { numRuns: 30 },
    );
  });
});

function isNodeMatch(
  node: AttestedNode,
  wanted: Partial<Pick<AttestedNode, 'attestationType' | 'isBanned' | 'canReattest'>> & {
    readonly expiresBefore?: Date;
  },
  selectors: { readonly named: readonly string[]; readonly match: MatchBehavior } | undefined,
): boolean {
  return (
    (wanted.attestationType === undefined || node.attestationType === wanted.attestationType) &&
    (wanted.isBanned === undefined || node.isBanned === wanted.isBanned) &&
    (wanted.canReattest === undefined || node.canReattest === wanted.canReattest) &&
    (wanted.expiresBefore === undefined || node.expiresAt < wanted.expiresBefore) &&
    (selectors === undefined || matches(node.selectors.map(formatSelector), selectors.named, selectors.match))
  );
}

function bySelector(
  a: Parameters<typeof formatSelector>[0],
  b: Parameters<typeof formatSelector>[0],
): number {
  return formatSelector(a) < formatSelector(b) ? -1 : 1;
}

describe.each(DATABASES)('pages on %s', (database) => {
  const stores = useStores(database);

  it('neither skip nor repeat an entry that is there all the while, whatever comes and goes', async () => {
    const store = await stores.open();
    const options = { createdAt: new Date(0) };
    const selectors = ['unix:uid:1', 'unix:gid:1'];
    const lasting = Array.from({ length: 40 }, (_, index) => `m${index.toString().padStart(3, '0')}`);
    await store.write(async ({ entries }) => {
      for (const id of lasting) await entries.create(exampleEntry({ selectors }), { ...options, id });
    });
    const filters: readonly EntryFilter[] = [
      {},
      { parentId: exampleEntry().parentId },
      { selectors: { named: selectors.map(parseSelector), match: 'superset' } },
      { selectors: { named: [...selectors, 'a:b'].map(parseSelector), match: 'any' } },
    ];
    for (const filter of filters) {
      const seen: string[] = [];
      let token: string | undefined;
      let round = 0;
      do {
        const page = await store.entries.list(filter, { size: 3, token });
        seen.push(...page.items.map((entry) => entry.id));
        token = page.nextPageToken;
        // Before and behind the place where the pages are, and the very entry that the token names is gone.
        const passing = [`a${round}`, `m${(round * 3).toString().padStart(3, '0')}x`, `z${round}`];
        await store.write(async ({ entries }) => {
          for (const id of passing) await entries.create(exampleEntry({ selectors }), { ...options, id });
          if (token !== undefined && !lasting.includes(token)) await entries.delete(token);
        });
        round += 1;
      } while (token !== undefined && round < 200);
      expect(seen.filter((id) => lasting.includes(id))).toEqual(lasting);
      expect(new Set(seen).size).toBe(seen.length);
      await store.write(async ({ entries }) => {
        const { items } = await entries.list({}, { size: 0, token: undefined });
        for (const { id } of items) if (!lasting.includes(id)) await entries.delete(id);
      });
    }
  });
});
