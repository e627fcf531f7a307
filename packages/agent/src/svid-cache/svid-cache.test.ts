import { parseSelector } from '@bonafide/shared/registration/selector';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sampleBundle, sampleEntry, sampleSvid, TRUST_DOMAIN } from './cache-samples.js';
import { SvidCache } from './svid-cache.js';
import type { Subscription, WorkloadUpdate } from './workload-identities.js';

class Fixture {
  readonly clock = new FakeClock();
  readonly needed = new Map<string, RegistrationEntry>();
  readonly released: string[] = [];
  readonly cache: SvidCache;

  constructor(maximumSvids = 1000) {
    this.cache = new SvidCache({
      trustDomain: TRUST_DOMAIN,
      clock: this.clock,
      log: silentLogger,
      maximumSvids,
    });
    this.cache.connect({
      need: (entry) => this.needed.set(entry.id, entry),
      release: (id) => {
        this.needed.delete(id);
        this.released.push(id);
      },
    });
  }

  /** Entries in, each with an SVID. */
  fill(...entries: readonly RegistrationEntry[]): void {
    this.upsert(...entries);
    this.issue(...entries);
  }

  upsert(...upsertedEntries: readonly RegistrationEntry[]): void {
    this.cache.apply({ ...NO_CHANGE, upsertedEntries, upsertedBundles: [sampleBundle('example.org')] });
  }

  remove(...removedEntryIds: readonly string[]): void {
    this.cache.apply({ ...NO_CHANGE, removedEntryIds });
  }

  issue(...entries: readonly RegistrationEntry[]): void {
    this.cache.install(new Map(entries.map((entry) => [entry.id, sampleSvid(entry)])));
  }

  async subscribe(...selectors: readonly string[]): Promise<Subscriber> {
    const updates: WorkloadUpdate[] = [];
    const subscription = this.cache.subscribe(selectors.map(parseSelector), (update) => updates.push(update));
    await Promise.resolve();
    return { updates, subscription, ids: () => updates.at(-1)?.identities.map(({ entry }) => entry.id) };
  }
}

interface Subscriber {
  readonly updates: WorkloadUpdate[];
  readonly subscription: Subscription;
  ids(): readonly string[] | undefined;
}

const NO_CHANGE = {
  kind: 'delta',
  upsertedEntries: [],
  removedEntryIds: [],
  upsertedBundles: [],
  removedBundleTrustDomains: [],
} as const;

const A = sampleEntry('a', ['unix:uid:1']);
const B = sampleEntry('b', ['unix:uid:1', 'unix:gid:2']);
const C = sampleEntry('c', ['unix:uid:3']);

describe('SvidCache', () => {
  it('tells a caller of the entries whose selectors it has all of, and no others', async () => {
    const fixture = new Fixture();
    fixture.fill(A, B, C);
    expect((await fixture.subscribe('unix:uid:1', 'unix:pid:9')).ids()).toEqual(['a']);
    expect((await fixture.subscribe('unix:uid:1', 'unix:gid:2')).ids()).toEqual(['a', 'b']);
  });

  it('tells a caller for whom nothing is registered so at once', async () => {
    const fixture = new Fixture();
    fixture.upsert(A);
    const nobody = await fixture.subscribe('unix:uid:7');
    expect(nobody.ids()).toEqual([]);
    expect([...(nobody.updates[0]?.bundles.keys() ?? [])]).toEqual(['example.org']);
  });

  it('never calls a listener before subscribe has returned, nor after close', async () => {
    const fixture = new Fixture();
    fixture.fill(A);
    let calls = 0;
    fixture.cache
      .subscribe(A.selectors, () => {
        calls += 1;
      })
      .close();
    const open = fixture.cache.subscribe(A.selectors, () => {
      calls += 1;
    });
    expect(calls).toBe(0);
    await Promise.resolve();
    expect(calls).toBe(1);
    open.close();
    fixture.remove('a');
    expect(calls).toBe(1);
  });

  it('makes the first answer wait until every matching entry has its SVID', async () => {
    const fixture = new Fixture();
    fixture.upsert(A, B);
    const caller = await fixture.subscribe('unix:uid:1', 'unix:gid:2');
    expect(caller.updates).toEqual([]);
    fixture.issue(A);
    expect(caller.updates).toEqual([]);
    fixture.issue(B);
    expect(caller.ids()).toEqual(['a', 'b']);
    expect(caller.updates).toHaveLength(1);
  });

  it('gives a waiting caller what there is once an attempt has failed, but never an empty answer', async () => {
    const fixture = new Fixture();
    fixture.upsert(A, B);
    const caller = await fixture.subscribe('unix:uid:1', 'unix:gid:2');
    fixture.cache.settle(['a', 'b']);
    expect(caller.updates).toEqual([]);
    fixture.issue(A);
    expect(caller.ids()).toEqual(['a']);
  });

  it('tells of an entry that is new as soon as it has an SVID, and of one that is gone at once', async () => {
    const fixture = new Fixture();
    fixture.fill(A);
    const caller = await fixture.subscribe('unix:uid:1', 'unix:gid:2');
    fixture.upsert(B);
    expect(caller.updates).toHaveLength(1);
    fixture.issue(B);
    expect(caller.ids()).toEqual(['a', 'b']);
    fixture.remove('a');
    expect(caller.ids()).toEqual(['b']);
    fixture.remove('b');
    expect(caller.ids()).toEqual([]);
    expect(caller.updates).toHaveLength(4);
  });

  it('says nothing when nothing that the caller sees has changed', async () => {
    const fixture = new Fixture();
    fixture.fill(A, C);
    const caller = await fixture.subscribe('unix:uid:1');
    const bundles = [sampleBundle('example.org')];
    fixture.cache.apply({ kind: 'snapshot', entries: [sampleEntry('a', ['unix:uid:1']), C], bundles });
    fixture.upsert({ ...A, revisionNumber: 1, jwtSvidTtlSeconds: 60 });
    fixture.remove('c');
    expect(caller.updates).toHaveLength(1);
  });

  it('orders identities by the age of their entries, then by id', async () => {
    const fixture = new Fixture();
    const old = sampleEntry('z', ['unix:uid:1'], { createdAt: new Date('2029-01-01T00:00:00Z') });
    fixture.fill(sampleEntry('y', ['unix:uid:1']), sampleEntry('x', ['unix:uid:1']), old);
    expect((await fixture.subscribe('unix:uid:1')).ids()).toEqual(['z', 'x', 'y']);
  });

  it('hands out our own bundle and those that matching entries federate with, and tells of their changes', async () => {
    const fixture = new Fixture();
    const federated = { ...A, federatesWith: [parseTrustDomain('partner.test')] };
    fixture.fill(federated, C);
    fixture.cache.apply({
      ...NO_CHANGE,
      upsertedBundles: [sampleBundle('partner.test'), sampleBundle('other.test')],
    });
    const caller = await fixture.subscribe('unix:uid:1');
    const stranger = await fixture.subscribe('unix:uid:3');
    expect([...(caller.updates[0]?.bundles.keys() ?? [])]).toEqual(['example.org', 'partner.test']);
    expect([...(stranger.updates[0]?.bundles.keys() ?? [])]).toEqual(['example.org']);
    fixture.cache.apply({ ...NO_CHANGE, upsertedBundles: [sampleBundle('partner.test', 2)] });
    expect(caller.updates).toHaveLength(2);
    expect(stranger.updates).toHaveLength(1);
    fixture.cache.apply({ ...NO_CHANGE, removedBundleTrustDomains: [parseTrustDomain('partner.test')] });
    expect([...(caller.updates.at(-1)?.bundles.keys() ?? [])]).toEqual(['example.org']);
  });

  it('gives callers with the same selectors one and the same update', async () => {
    const fixture = new Fixture();
    fixture.fill(A);
    const [one, two] = [
      await fixture.subscribe('unix:uid:1', 'unix:gid:1'),
      await fixture.subscribe('unix:gid:1', 'unix:uid:1'),
    ];
    expect(one.updates[0]).toBe(two.updates[0]);
  });

  it('never hands out an SVID that has expired, and takes it out of what callers hold', async () => {
    const fixture = new Fixture();
    fixture.upsert(A, B);
    const soon = new Date(fixture.clock.now().getTime() + 60_000);
    fixture.cache.install(
      new Map([
        ['a', sampleSvid(A, soon)],
        ['b', sampleSvid(B)],
      ]),
    );
    const caller = await fixture.subscribe('unix:uid:1', 'unix:gid:2');
    await fixture.clock.advance(60_000);
    expect((await fixture.subscribe('unix:uid:1', 'unix:gid:2', 'unix:x:1')).ids()).toEqual(['b']);
    fixture.cache.withdraw(['a']);
    expect(caller.ids()).toEqual(['b']);
  });

  it('keeps a replaced entry’s SVID in use until the new one is there', async () => {
    const fixture = new Fixture();
    fixture.fill(A);
    const caller = await fixture.subscribe('unix:uid:1');
    const changed = { ...A, revisionNumber: 1, dnsNames: ['a.example.org'] };
    fixture.needed.clear();
    fixture.upsert(changed);
    expect(fixture.needed.get('a')).toEqual(changed);
    expect(caller.updates).toHaveLength(1);
    fixture.issue(changed);
    expect(caller.updates).toHaveLength(2);
  });

  it('changes a hint without asking for another SVID', async () => {
    const fixture = new Fixture();
    fixture.fill(A);
    const caller = await fixture.subscribe('unix:uid:1');
    fixture.needed.clear();
    fixture.upsert({ ...A, revisionNumber: 1, hint: 'internal' });
    expect(fixture.needed.size).toBe(0);
    expect(caller.updates.map(({ identities }) => identities[0]?.svid.hint)).toEqual([undefined, 'internal']);
  });

  it('drops an SVID that comes for an entry that has gone meanwhile', async () => {
    const fixture = new Fixture();
    fixture.upsert(A);
    fixture.remove('a');
    fixture.issue(A);
    expect(fixture.released).toEqual(['a']);
    expect((await fixture.subscribe('unix:uid:1')).ids()).toEqual([]);
  });

  it('leaves entries that are meant for a secret store alone', async () => {
    const fixture = new Fixture();
    fixture.upsert({ ...A, storesSvid: true });
    expect(fixture.needed.size).toBe(0);
    expect((await fixture.subscribe('unix:uid:1')).ids()).toEqual([]);
  });

  it('asks ahead of callers only up to its limit, and makes room for what a caller needs', async () => {
    const fixture = new Fixture(1);
    fixture.upsert(A, C);
    expect([...fixture.needed.keys()]).toEqual(['a']);
    const caller = await fixture.subscribe('unix:uid:3');
    expect([...fixture.needed.keys()]).toEqual(['c']);
    caller.subscription.close();
    expect([...fixture.needed.keys()]).toEqual(['c']);
  });

  it('holds every SVID that has a caller, and lets go first of the one whose caller left first', async () => {
    const fixture = new Fixture(2);
    const [one, two, three] = [1, 2, 3].map((uid) => sampleEntry(`e${uid}`, [`unix:uid:${uid}`]));
    if (one === undefined || two === undefined || three === undefined) throw new Error('three entries');
    fixture.upsert(one, two, three);
    const callers = await Promise.all([1, 2, 3].map((uid) => fixture.subscribe(`unix:uid:${uid}`)));
    expect([...fixture.needed.keys()].sort()).toEqual(['e1', 'e2', 'e3']);
    callers[1]?.subscription.close();
    expect([...fixture.needed.keys()].sort()).toEqual(['e1', 'e3']);
    callers[0]?.subscription.close();
    callers[2]?.subscription.close();
    expect([...fixture.needed.keys()].sort()).toEqual(['e1', 'e3']);
    fixture.upsert({ ...one, hint: 'changed' }); // keeps its place
    await fixture.subscribe('unix:uid:2');
    expect([...fixture.needed.keys()].sort()).toEqual(['e2', 'e3']);
    fixture.remove('e3');
    expect([...fixture.needed.keys()].sort()).toEqual(['e1', 'e2']);
  });

  it('holds what a caller needs and nothing else when it is to hold none', async () => {
    const fixture = new Fixture(0);
    fixture.upsert(A);
    expect(fixture.needed.size).toBe(0);
    const callers = [await fixture.subscribe('unix:uid:1'), await fixture.subscribe('unix:uid:1', 'x:y')];
    expect([...fixture.needed.keys()]).toEqual(['a']);
    callers[0]?.subscription.close();
    expect([...fixture.needed.keys()]).toEqual(['a']);
    fixture.upsert({ ...A, selectors: C.selectors });
    expect(fixture.needed.size).toBe(0);
    callers[1]?.subscription.close();
  });

  it('waits for a caller where the entry forbids to ask ahead', async () => {
    const fixture = new Fixture();
    const lazy = { ...A, disablesX509SvidPrefetch: true };
    fixture.upsert(lazy);
    expect(fixture.needed.size).toBe(0);
    const caller = await fixture.subscribe('unix:uid:1');
    expect([...fixture.needed.keys()]).toEqual(['a']);
    fixture.issue(lazy);
    expect(caller.ids()).toEqual(['a']);
    caller.subscription.close();
    expect(fixture.released).toEqual(['a']);
  });

  it('closes a subscriber that throws and goes on telling the others', async () => {
    const fixture = new Fixture();
    fixture.fill(A);
    let calls = 0;
    fixture.cache.subscribe(A.selectors, () => {
      calls += 1;
      throw new Error('broken');
    });
    const other = await fixture.subscribe('unix:uid:1');
    fixture.remove('a');
    expect(calls).toBe(1);
    expect(other.ids()).toEqual([]);
  });
});

describe('SvidCache after any changes', () => {
  const selector = fc.constantFrom('unix:uid:1', 'unix:uid:2', 'unix:gid:1', 'unix:gid:2', 'unix:path:/x');
  const selectors = fc.uniqueArray(selector, { minLength: 1, maxLength: 3 });
  const entry = fc
    .record({ id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), selectors, revisionNumber: fc.nat(5) })
    .map(({ id, selectors: texts, revisionNumber }) => sampleEntry(id, texts, { revisionNumber }));
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('upsert' as const),
      entries: fc.uniqueArray(entry, { maxLength: 4, selector: ({ id }) => id }),
    }),
    fc.record({
      kind: fc.constant('remove' as const),
      ids: fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f')),
    }),
    fc.record({
      kind: fc.constant('snapshot' as const),
      entries: fc.uniqueArray(entry, { maxLength: 6, selector: ({ id }) => id }),
    }),
    fc.record({
      kind: fc.constant('subscribe' as const),
      selectors: fc.uniqueArray(selector, { maxLength: 4 }),
    }),
    fc.record({ kind: fc.constant('close' as const), index: fc.nat(5) }),
  );

  it('shows every caller exactly what a plain subset match shows', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.constantFrom(0, 2, 1000),
        async (steps, maximum) => {
          const fixture = new Fixture(maximum);
          const truth = new Map<string, RegistrationEntry>();
          const callers: { readonly texts: readonly string[]; readonly subscriber: Subscriber }[] = [];
          for (const each of steps) {
            switch (each.kind) {
              case 'upsert':
                for (const one of each.entries) truth.set(one.id, one);
                fixture.upsert(...each.entries);
                break;
              case 'remove':
                for (const id of each.ids) truth.delete(id);
                fixture.remove(...each.ids);
                break;
              case 'snapshot':
                truth.clear();
                for (const one of each.entries) truth.set(one.id, one);
                fixture.cache.apply({
                  kind: 'snapshot',
                  entries: each.entries,
                  bundles: [sampleBundle('example.org')],
                });
                break;
              case 'subscribe':
                callers.push({
                  texts: each.selectors,
                  subscriber: await fixture.subscribe(...each.selectors),
                });
                break;
              case 'close':
                callers.splice(each.index, 1)[0]?.subscriber.subscription.close();
                break;
            }
            fixture.issue(...fixture.needed.values());
            for (const { texts, subscriber } of callers) {
              const expected = [...truth.values()]
                .filter((one) => one.selectors.every(({ type, value }) => texts.includes(`${type}:${value}`)))
                .map(({ id }) => id)
                .sort();
              expect(subscriber.ids()).toEqual(expected);
            }
          }
        },
      ),
    );
  });
});
