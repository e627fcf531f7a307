import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { exampleBundle, exampleEntry, exampleTrustDomain } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { pruneExpiredEntries } from './prune-expired-entries.js';
import { Registration } from './registration.js';

const trustDomain = exampleTrustDomain('example.org');
const other = exampleTrustDomain('other.example');
let clock: FakeClock;
let store: Store;
let registration: Registration;

beforeEach(async () => {
  clock = new FakeClock();
  store = await openStore({ path: ':memory:', log: silentLogger });
  registration = new Registration({ store, trustDomain, clock });
});

afterEach(async () => {
  await store.close();
});

/** `kind`, with the id or the reason. */
function summary(
  outcomes: readonly ({ kind: 'refused'; error: BonafideError } | { kind: string; entry: { id: string } })[],
): readonly string[] {
  return outcomes.map((outcome) =>
    'error' in outcome ? `refused ${outcome.error.reason}` : `${outcome.kind} ${outcome.entry.id}`,
  );
}

describe('creating', () => {
  it('gives each item its own outcome, in one revision', async () => {
    await registration.createEntries([{ id: 'taken', content: exampleEntry({ path: '/taken' }) }]);
    const { outcomes, revision } = await registration.createEntries([
      { id: 'a', content: exampleEntry({ path: '/a' }) },
      { id: 'bad id', content: exampleEntry({ path: '/b' }) },
      { id: 'c', content: { ...exampleEntry({ path: '/c' }), selectors: [] } },
      { id: 'taken', content: exampleEntry({ path: '/d' }) },
      { id: 'e', content: exampleEntry({ path: '/taken' }) },
      { id: 'f', content: exampleEntry({ path: '/a' }) },
      { id: 'g', content: { ...exampleEntry({ path: '/g' }), federatesWith: [other] } },
      { id: 'h', content: exampleEntry({ path: '/h' }) },
    ]);
    expect(summary(outcomes)).toEqual([
      'created a',
      'refused invalid_argument',
      'refused invalid_argument',
      'refused already_exists',
      'similar taken',
      'similar a',
      'refused failed_precondition',
      'created h',
    ]);
    expect(revision).toBe(2);
    expect(await registration.countEntries({})).toBe(3);
    expect(await store.changesSince(1, 10)).toMatchObject([
      {
        revision: 2,
        changes: [
          { kind: 'entry', entryId: 'a' },
          { kind: 'entry', entryId: 'h' },
        ],
      },
    ]);
  });

  it('starts an entry at revision 0 with its time of creation, and makes an id', async () => {
    const { outcomes } = await registration.createEntries([{ id: undefined, content: exampleEntry() }]);
    const [outcome] = outcomes;
    if (outcome?.kind !== 'created') throw new Error('expected it to be created');
    expect(outcome.entry).toMatchObject({ revisionNumber: 0, createdAt: clock.now() });
    expect(outcome.entry.id).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
    expect(await registration.getEntry(outcome.entry.id)).toEqual(outcome.entry);
  });

  it('takes no revision when every item is refused', async () => {
    const { revision } = await registration.createEntries([
      { id: undefined, content: { ...exampleEntry(), selectors: [] } },
    ]);
    expect(revision).toBeUndefined();
    expect(await store.currentRevision()).toBe(0);
  });

  it('makes one of two that race', async () => {
    const create = (): Promise<readonly string[]> =>
      registration
        .createEntries([{ id: 'a', content: exampleEntry() }])
        .then(({ outcomes }) => summary(outcomes));
    const results = await Promise.all([create(), create(), create()]);
    expect(results.flat().sort()).toEqual(['created a', 'similar a', 'similar a']);
  });

  it('stores selectors sorted and once each', async () => {
    const content = exampleEntry({ selectors: ['b:2', 'a:1', 'b:2'] });
    await registration.createEntries([{ id: 'a', content }]);
    expect((await registration.getEntry('a'))?.selectors).toEqual([
      { type: 'a', value: '1' },
      { type: 'b', value: '2' },
    ]);
  });
});

describe('updating', () => {
  beforeEach(async () => {
    const content = { ...exampleEntry(), hint: 'old', dnsNames: ['a.example'], x509SvidTtlSeconds: 60 };
    await registration.createEntries([{ id: 'a', content }]);
  });

  it('replaces the fields that are given and leaves the others', async () => {
    const { outcomes } = await registration.updateEntries([
      { id: 'a', changes: { hint: undefined, dnsNames: ['b.example'] } },
    ]);
    expect(outcomes).toMatchObject([
      {
        kind: 'updated',
        entry: {
          id: 'a',
          hint: undefined,
          dnsNames: ['b.example'],
          x509SvidTtlSeconds: 60,
          revisionNumber: 1,
        },
      },
    ]);
    await registration.updateEntries([{ id: 'a', changes: {} }]);
    expect((await registration.getEntry('a'))?.revisionNumber).toBe(2);
  });

  it('holds the whole entry to the rules, and gives each item its own outcome', async () => {
    const two = [
      { type: 'a', value: '1' },
      { type: 'b', value: '1' },
    ];
    const { outcomes } = await registration.updateEntries([
      { id: 'none', changes: { hint: 'x' } },
      { id: '', changes: { hint: 'x' } },
      { id: 'a', changes: { selectors: two } },
      { id: 'a', changes: { storesSvid: true } },
      { id: 'a', changes: { federatesWith: [other] } },
      { id: 'a', changes: { hint: 'new' } },
    ]);
    expect(summary(outcomes)).toEqual([
      'refused not_found',
      'refused invalid_argument',
      'updated a',
      'refused invalid_argument',
      'refused failed_precondition',
      'updated a',
    ]);
    expect(await registration.getEntry('a')).toMatchObject({
      hint: 'new',
      storesSvid: false,
      revisionNumber: 2,
    });
  });

  it('can federate with a trust domain once its bundle is there', async () => {
    await store.write(({ bundles }) => bundles.put(exampleBundle(other)));
    await registration.updateEntries([{ id: 'a', changes: { federatesWith: [other] } }]);
    expect((await registration.getEntry('a'))?.federatesWith).toEqual([other]);
  });
});

describe('deleting', () => {
  it('gives each item its own outcome', async () => {
    await registration.createEntries([{ id: 'a', content: exampleEntry() }]);
    const { outcomes } = await registration.deleteEntries(['a', 'a', 'none', '']);
    expect(summary(outcomes)).toEqual([
      'deleted a',
      'refused not_found',
      'refused not_found',
      'refused invalid_argument',
    ]);
    expect(await registration.countEntries({})).toBe(0);
  });
});

it('what is unforeseen undoes the whole batch', async () => {
  const broken = new Registration({
    trustDomain,
    clock,
    store: {
      ...store,
      write: (work) =>
        store.write((transaction) =>
          work({
            ...transaction,
            entries: Object.assign(Object.create(transaction.entries) as typeof transaction.entries, {
              findSimilar: (content: { readonly spiffeId: string }) =>
                content.spiffeId.endsWith('/b')
                  ? Promise.reject(new BonafideError('unavailable', 'the disk is full'))
                  : Promise.resolve(undefined),
              create: transaction.entries.create.bind(transaction.entries),
            }),
          }),
        ),
    },
  });
  await expect(
    broken.createEntries([
      { id: 'a', content: exampleEntry({ path: '/a' }) },
      { id: 'b', content: exampleEntry({ path: '/b' }) },
    ]),
  ).rejects.toMatchObject({ reason: 'unavailable' });
  expect(await registration.countEntries({})).toBe(0);
  expect(await store.currentRevision()).toBe(0);
});

describe('expiry', () => {
  it('ends entries soon after their time, and leaves the others', async () => {
    const inMinutes = (minutes: number): Date => new Date(clock.now().getTime() + minutes * 60_000);
    await registration.createEntries([
      { id: 'soon', content: { ...exampleEntry({ path: '/soon' }), expiresAt: inMinutes(1) } },
      { id: 'late', content: { ...exampleEntry({ path: '/late' }), expiresAt: inMinutes(9) } },
      { id: 'never', content: exampleEntry({ path: '/never' }) },
    ]);
    const stop = new AbortController();
    const looks: Date[] = [];
    const pruning = pruneExpiredEntries(
      {
        registration: {
          pruneExpired: () => {
            looks.push(clock.now());
            return registration.pruneExpired();
          },
        },
        expiries: { earliestExpiry: () => (looks.length === 0 ? inMinutesFromStart : undefined) },
        clock,
        log: silentLogger,
      },
      stop.signal,
    );
    await clock.advance(59_000);
    expect(looks).toEqual([]);
    await clock.advance(3_000);
    await waitFor('the entry to be pruned', async () => (await registration.countEntries({})) === 2);
    expect(await registration.getEntry('soon')).toBeUndefined();
    stop.abort();
    await pruning;
    expect(clock.pendingTimers).toBe(0);
  });

  const inMinutesFromStart = new Date(new FakeClock().now().getTime() + 60_000);

  it('is tried again after a failure', async () => {
    const stop = new AbortController();
    let attempts = 0;
    const pruning = pruneExpiredEntries(
      {
        registration: {
          pruneExpired: () => {
            attempts += 1;
            return Promise.reject(new BonafideError('unavailable', 'the disk is full'));
          },
        },
        expiries: { earliestExpiry: () => new Date(0) },
        clock,
        log: silentLogger,
      },
      stop.signal,
    );
    await clock.advance(61_000);
    expect(attempts).toBe(3);
    stop.abort();
    await pruning;
  });
});
