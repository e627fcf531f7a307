import { describe, expect, it } from 'vitest';
import { exampleEntry, exampleNode } from './example-records.js';
import { DATABASES, useStores } from './store-fixtures.js';
import type { CommittedRevision, Store } from './store.js';
import { createEntry } from './create-entry.js';

describe.each(DATABASES)('a write, on %s', (database) => {
  const stores = useStores(database);

  it('leaves nothing behind when it throws', async () => {
    const store = await stores.open();
    const heard: CommittedRevision[] = [];
    store.subscribe((committed) => void heard.push(committed));
    await expect(
      store.write(async ({ entries, nodes }) => {
        await entries.create(exampleEntry({ path: '/a' }), { id: 'a', createdAt: new Date(0) });
        await nodes.put(exampleNode());
        throw new Error('changed its mind');
      }),
    ).rejects.toThrow('changed its mind');
    expect(await store.currentRevision()).toBe(0);
    expect(await store.entries.count({})).toBe(0);
    expect(heard).toEqual([]);
  });

  it('is heard of after its commit and before it resolves', async () => {
    const store = await stores.open();
    const order: string[] = [];
    store.subscribe(async () => {
      order.push(`heard, ${await store.entries.count({})} there`);
    });
    await createEntry(store, '/a');
    order.push('resolved');
    expect(order).toEqual(['heard, 1 there', 'resolved']);
  });

  it('stands when a listener fails, and the other listeners still hear of it', async () => {
    const store = await stores.open();
    const heard: number[] = [];
    store.subscribe(() => {
      throw new Error('deaf');
    });
    const unsubscribe = store.subscribe(({ revision }) => void heard.push(revision));
    await createEntry(store, '/a');
    unsubscribe();
    await createEntry(store, '/b');
    expect(heard).toEqual([1]);
    expect(await store.currentRevision()).toBe(2);
  });

  it.each([
    ['reads', (store: Store): Promise<unknown> => store.entries.count({})],
    ['writes', (store: Store): Promise<unknown> => store.write(() => Promise.resolve())],
  ])(
    'refuses that its work %s through the outer store, instead of waiting for itself',
    async (_what, use) => {
      const store = await stores.open();
      await expect(store.write(() => use(store))).rejects.toThrow('inside of a write');
      await createEntry(store, '/a');
    },
  );

  it('cannot be used after its end', async () => {
    const store = await stores.open();
    const { entries } = await store.write((transaction) => Promise.resolve(transaction));
    await expect(
      entries.create(exampleEntry({ path: '/late' }), { id: undefined, createdAt: new Date(0) }),
    ).rejects.toThrow();
    expect(await store.entries.count({})).toBe(0);
  });

  it('lets others read the state before it while it is under way', async () => {
    const store = await stores.open();
    let reached: (() => void) | undefined;
    let release: (() => void) | undefined;
    const hasReached = new Promise<void>((resolve) => (reached = resolve));
    const mayEnd = new Promise<void>((resolve) => (release = resolve));
    const write = store.write(async ({ entries }) => {
      await entries.create(exampleEntry({ path: '/a' }), { id: 'a', createdAt: new Date(0) });
      reached?.();
      await mayEnd;
    });
    await hasReached;
    expect(await store.entries.count({})).toBe(0);
    release?.();
    await write;
    expect(await store.entries.count({})).toBe(1);
    await store.close();
    await expect(createEntry(store, '/b')).rejects.toMatchObject({ reason: 'unavailable' });
  });
});
