import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { compactEntry, exampleBundle, exampleEntry, exampleTrustDomain } from '../example-records.js';
import type { CompactEntry } from '../entry-record.js';
import { DATABASES, useStores } from '../store-fixtures.js';

/** More than one batch. */
const ENTRIES = 1200;
const FOREIGN = ['a.example', 'b.example'].map(exampleTrustDomain);

const content = fc
  .record({
    path: fc.constantFrom('/p', '/q', '/r'),
    selectors: fc.subarray(['a:1', 'a:"2"', 'b:ü'], { minLength: 1 }),
    federatesWith: fc.subarray(FOREIGN),
    dnsNames: fc.constantFrom([], [], ['b.example', 'a.example']),
    hint: fc.constantFrom(undefined, undefined, '', '"', 'ü'),
    x509SvidTtlSeconds: fc.constantFrom(undefined, undefined, 60),
    jwtSvidTtlSeconds: fc.constantFrom(undefined, undefined, 60),
    expiresAt: fc.constantFrom(undefined, new Date(3_000_000_000_000)),
    flags: fc.subarray([
      'isAdmin',
      'isDownstream',
      'storesSvid',
      'disablesX509SvidPrefetch',
      'includesJwtSvidJti',
    ]),
  })
  .map(({ path, selectors, flags, ...rest }) => ({
    ...exampleEntry({ path }),
    ...rest,
    selectors: selectors.map(parseSelector),
    ...Object.fromEntries(flags.map((flag) => [flag, true])),
  }));

describe.each(DATABASES)('entries for the graph, on %s', (database) => {
  const stores = useStores(database);

  it('are those that are in the tables, each once, with all that they say', async () => {
    const store = await stores.open();
    const contents = fc.sample(content, ENTRIES);
    const created = await store.write(async ({ entries, bundles }) => {
      for (const foreign of FOREIGN) await bundles.put(exampleBundle(foreign));
      const all: RegistrationEntry[] = [];
      for (const each of contents) {
        all.push(await entries.create(each, { id: undefined, createdAt: new Date(42) }));
      }
      return all;
    });
    await store.write(({ entries }) => entries.update(created[7]?.id ?? '', exampleEntry()));
    const ids = created.map((entry) => entry.id).sort();
    const { items } = await store.entries.list({}, { size: 0, token: undefined });
    const expected = items.map(compactEntry);
    expect(expected.map((entry) => entry.id)).toEqual(ids);

    const loaded: CompactEntry[] = [];
    for await (const batch of store.entries.all()) loaded.push(...batch);
    expect(loaded.sort(byId)).toEqual(expected);
    expect([...(await store.entries.getMany(ids))].sort(byId)).toEqual(expected);
    expect(new Set(loaded.map((entry) => entry.terms)).size).toBeLessThan(ENTRIES);
  });

  it('are none where there are none', async () => {
    const store = await stores.open();
    for await (const batch of store.entries.all()) expect(batch).toEqual([]);
    expect(await store.entries.getMany([])).toEqual([]);
  });
});

function byId(a: CompactEntry, b: CompactEntry): number {
  return a.id < b.id ? -1 : 1;
}
