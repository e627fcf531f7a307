import fc from 'fast-check';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import type { NewEntry } from '../registration/registration.js';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { DATABASES, usePostgres, useStores } from '../store/store-fixtures.js';
import type { Store } from '../store/store.js';
import { contentText, similarityText } from './entry-fields.js';
import { EntryPlans } from './entry-plans.js';
import type { EntryFile } from './entry-file.js';

const trustDomain = exampleTrustDomain('example.org');
const PAY = parseSpiffeId('spiffe://example.org/pay');
const NODE = exampleNode();

async function plansOf(store: Store): Promise<{ plans: EntryPlans; graph: EntryGraph }> {
  const graph = await EntryGraph.load({ store, trustDomain, clock: systemClock, log: silentLogger });
  onTestFinished(() => {
    graph.stop();
  });
  return { plans: new EntryPlans({ store, graph, trustDomain, clock: systemClock }), graph };
}

function item(path: string, changes: Partial<NewEntry['content']> = {}, id?: string): NewEntry {
  return { id, content: { ...exampleEntry({ path }), ...changes } };
}

function file(entries: EntryFile['entries'], options: Partial<EntryFile> = {}): EntryFile {
  return { scope: PAY, prunes: true, entries, ...options };
}

async function everything(store: Store): Promise<readonly RegistrationEntry[]> {
  const { items } = await store.entries.list({}, { size: 1000, token: undefined });
  return items;
}

async function register(store: Store, entries: readonly NewEntry[]): Promise<void> {
  await store.write(async (transaction) => {
    for (const { id, content } of entries) {
      await transaction.entries.create(content, { id, createdAt: new Date(0) });
    }
  });
}

describe.each(DATABASES)('a file of entries, on %s', (database) => {
  const stores = useStores(database);

  it('is applied in one revision, and a second time in none', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    await register(store, [
      item('/pay/old', {}, 'old'),
      item('/pay/api', {}, 'api'),
      item('/web', {}, 'web'),
    ]);
    const before = await store.currentRevision();
    const wanted = file([item('/pay/api', { hint: 'internal' }), item('/pay/new')]);
    const planned = await plans.plan(wanted);
    expect(planned.plan.changes.map(({ kind }) => kind)).toEqual(['delete', 'update', 'create']);
    expect(planned.plan.changes[1]).toMatchObject({ fields: ['hint'] });
    expect(await store.currentRevision()).toBe(before);

    const applied = await plans.apply(wanted, planned.plan.digest);
    expect(applied.appliedRevision).toBe(before + 1);
    expect((await everything(store)).map(({ spiffeId, hint }) => [spiffeId, hint]).sort()).toEqual([
      ['spiffe://example.org/pay/api', 'internal'],
      ['spiffe://example.org/pay/new', undefined],
      ['spiffe://example.org/web', undefined],
    ]);
    const again = await plans.apply(wanted);
    expect(again).toMatchObject({ appliedRevision: undefined, plan: { changes: [], unchanged: 2 } });
    expect(await store.currentRevision()).toBe(before + 1);
  });

  it('is not applied when the plan that was shown is another one by now', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    const wanted = file([item('/pay/api')]);
    const { digest } = (await plans.plan(wanted)).plan;
    await register(store, [item('/elsewhere')]);
    await register(store, [item('/pay/other')]);
    const revision = await store.currentRevision();
    await expect(plans.apply(wanted, digest)).rejects.toMatchObject({ reason: 'failed_precondition' });
    expect(await store.currentRevision()).toBe(revision);
    expect((await plans.apply(wanted, (await plans.plan(wanted)).plan.digest)).appliedRevision).toBe(
      revision + 1,
    );
  });

  it('is applied although something else has changed that is not its concern', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    const wanted = file([item('/pay/api')]);
    const { digest } = (await plans.plan(wanted)).plan;
    await register(store, [item('/elsewhere')]);
    expect((await plans.apply(wanted, digest)).appliedRevision).toBe(2);
  });

  it('is applied by many at once, and by one of them with changes', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    const wanted = file([item('/pay/api'), item('/pay/web')]);
    const applied = await Promise.all([1, 2, 3, 4].map(() => plans.apply(wanted)));
    expect(applied.filter(({ appliedRevision }) => appliedRevision !== undefined)).toHaveLength(1);
    expect(await store.entries.count({})).toBe(2);
    expect(await store.currentRevision()).toBe(1);
  });

  it('leaves everything as it is when one of its entries is refused', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    await register(store, [item('/pay/a', {}, 'a')]);
    const wanted = file([
      item('/pay/new'),
      item('/payments/x'),
      item('/pay/b', { federatesWith: [exampleTrustDomain('other.example')] }),
      item('/pay/a', {}, 'another'),
      item('/pay/new'),
      new BonafideError('invalid_argument', 'selectors: is empty'),
      item('/pay/c', { x509SvidTtlSeconds: 0 }),
      item('/pay/d', {}, 'not an id'),
    ]);
    // What is going to be deleted is no conflict.
    const { plan, appliedRevision } = await plans.apply({ ...wanted, prunes: false });
    expect(appliedRevision).toBeUndefined();
    expect(plan.refused.map(({ index, error }) => [index, error.message]).sort()).toEqual([
      [1, 'spiffe://example.org/payments/x is outside of the scope of the file, spiffe://example.org/pay'],
      [2, 'there is no bundle of federated trust domain other.example; set it first'],
      [3, 'a similar entry is registered as a; name it with entry_id, or delete it'],
      [4, 'has the same SPIFFE ID, parent ID and selectors as entries[0]'],
      [5, 'selectors: is empty'],
      [6, expect.stringContaining('X.509-SVID time to live is 0')],
      [7, expect.stringContaining('entry id may have only')],
    ]);
    expect(await store.currentRevision()).toBe(1);
  });

  it('keeps an entry by its ID while all else of it changes, and federates once there is a bundle', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    await register(store, [item('/pay/a', {}, 'a')]);
    await store.write(({ bundles }) => bundles.put(exampleBundle('other.example')));
    const other = exampleTrustDomain('other.example');
    const moved = item(
      '/pay/b',
      { ...exampleEntry({ path: '/pay/b', selectors: ['unix:uid:7'] }), federatesWith: [other] },
      'a',
    );
    const { plan } = await plans.apply(file([moved]));
    expect(plan.changes).toMatchObject([
      { kind: 'update', fields: ['spiffe_id', 'selectors', 'federates_with'] },
    ]);
    expect(await store.entries.get('a')).toMatchObject({
      spiffeId: 'spiffe://example.org/pay/b',
      revisionNumber: 1,
    });
  });

  it('never takes an entry of somebody else by its ID', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    await register(store, [item('/web', {}, 'web')]);
    const { plan } = await plans.apply(file([item('/pay/mine', {}, 'web')]));
    expect(plan.refused[0]?.error.message).toBe(
      'entry web is registered for spiffe://example.org/web, outside of the scope of the file, spiffe://example.org/pay',
    );
  });

  it('prunes nothing without a scope, and never what the server made for a join token', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    const ofToken = exampleEntry({ path: '/pay/nodes', selectors: [`spiffe_id:${NODE.agentId}`] });
    await register(store, [
      { id: 'token', content: { ...ofToken, parentId: NODE.agentId } },
      item('/pay/x', {}, 'x'),
    ]);
    await expect(plans.plan(file([], { scope: undefined }))).rejects.toThrow('pruning needs a scope');
    expect((await plans.plan(file([], { prunes: false }))).plan).toMatchObject({ changes: [], unlisted: 1 });
    await plans.apply(file([]));
    expect((await everything(store)).map(({ id }) => id)).toEqual(['token']);
  });

  it('leaves out what has expired', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    const over = item('/pay/over', { expiresAt: new Date(1) });
    expect((await plans.apply(file([over]))).plan).toMatchObject({ changes: [], expired: 1 });
  });
});

describe('a file of entries, applied by two servers', () => {
  const stores = usePostgres();

  it('is applied once', async () => {
    const wanted = file([item('/pay/api'), item('/pay/web')]);
    const servers = await Promise.all([stores.open(), stores.open()]);
    const [one, two] = await Promise.all(servers.map(plansOf));
    if (one === undefined || two === undefined) throw new Error('two were opened');
    for (let round = 0; round < 5; round += 1) {
      const changed = file([...wanted.entries, item(`/pay/${round}`)]);
      const applied = await Promise.all([one.plans.apply(changed), two.plans.apply(changed)]);
      expect(applied.filter(({ appliedRevision }) => appliedRevision !== undefined)).toHaveLength(1);
      expect(await servers[0].entries.count({})).toBe(3);
    }
  });
});

const path = fc.constantFrom('/pay', '/pay/a', '/pay/b', '/payments', '/web', '/pa');
const selectors = fc.subarray(['unix:uid:1', 'unix:uid:2', 'unix:gid:1'], { minLength: 1 });
const content = fc
  .record({ path, selectors, hint: fc.constantFrom(undefined, 'x', 'y'), isAdmin: fc.boolean() })
  .map(({ path: ofEntry, selectors: named, ...rest }) => ({
    ...exampleEntry({ path: ofEntry, selectors: named }),
    ...rest,
  }));
const registered = fc.uniqueArray(content, { maxLength: 12, selector: similarityText });
const inFile = fc.uniqueArray(
  content.filter(({ spiffeId }) => /\/pay(\/|$)/.test(spiffeId)),
  { maxLength: 8, selector: similarityText },
);

describe('applying any file to any registry', () => {
  const stores = useStores('sqlite');

  it('makes them equal within the scope and touches nothing outside', async () => {
    const store = await stores.open();
    const { plans } = await plansOf(store);
    await fc.assert(
      fc.asyncProperty(registered, inFile, fc.boolean(), async (present, wanted, prunes) => {
        const leftOver = await everything(store);
        await store.write(async ({ entries }) => {
          for (const { id } of leftOver) await entries.delete(id);
        });
        await register(
          store,
          present.map((each, index) => ({ id: `e${index}`, content: each })),
        );
        const before = await everything(store);
        const given = file(
          wanted.map((each) => ({ id: undefined, content: each })),
          { prunes },
        );
        const planned = await plans.plan(given);
        const { appliedRevision } = await plans.apply(given, planned.plan.digest);
        expect(appliedRevision === undefined).toBe(planned.plan.changes.length === 0);
        const after = await everything(store);
        const isOwned = ({ spiffeId }: RegistrationEntry): boolean =>
          spiffeId === PAY || spiffeId.startsWith(`${PAY}/`);
        expect(after.filter((each) => !isOwned(each))).toEqual(before.filter((each) => !isOwned(each)));
        const owned = after.filter(isOwned).map(contentText);
        if (prunes) expect(owned.sort()).toEqual(wanted.map(contentText).sort());
        else expect(owned).toEqual(expect.arrayContaining(wanted.map(contentText)));
        expect((await plans.apply(given)).appliedRevision).toBeUndefined();
      }),
      { numRuns: 30 },
    );
  });
});
