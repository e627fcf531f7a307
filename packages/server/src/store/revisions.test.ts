import { describe, expect, it } from 'vitest';
import type { Change, EntryChange } from './change.js';
import { createEntry } from './create-entry.js';
import { exampleBundle, exampleEntry, exampleNode } from './example-records.js';
import { DATABASES, useStores } from './store-fixtures.js';

const NONCE = /^[A-Za-z0-9_-]{12}$/;

function createdEntry(entryId: string, path: string): EntryChange {
  const { spiffeId, parentId } = exampleEntry({ path });
  return { kind: 'entry', entryId, spiffeIds: [spiffeId], parentIds: [parentId], trustDomains: [] };
}

describe.each(DATABASES)('revisions, on %s', (database) => {
  const stores = useStores(database);

  it('start at 0 and grow by one with each transaction, whatever it touched', async () => {
    const store = await stores.open();
    expect(await store.currentRevision()).toBe(0);
    expect(await store.changesSince(0, 10)).toEqual([]);
    const id = await createEntry(store, '/a');
    await store.write(async ({ joinTokens }) => {
      await joinTokens.create({ token: 'secret', expiresAt: new Date(1), aliasId: undefined });
    });
    expect(await store.currentRevision()).toBe(2);
    const log = await store.changesSince(0, 10);
    expect(log).toEqual([
      { revision: 1, nonce: expect.stringMatching(NONCE) as string, changes: [createdEntry(id, '/a')] },
      { revision: 2, nonce: expect.stringMatching(NONCE) as string, changes: [] },
    ]);
    expect(log?.[0]?.nonce).not.toBe(log?.[1]?.nonce);
    expect(await store.position()).toEqual({ revision: 2, nonce: log?.[1]?.nonce });
  });

  it('name everything that a transaction changed, once', async () => {
    const store = await stores.open();
    const node = exampleNode();
    await store.write(async ({ nodes, bundles }) => {
      await nodes.put(node);
      await nodes.put({ ...node, isBanned: true });
      await bundles.put(exampleBundle('other.example'));
    });
    expect(await store.changesSince(0, 10)).toEqual([
      {
        revision: 1,
        nonce: expect.stringMatching(NONCE) as string,
        changes: [
          { kind: 'node', agentId: node.agentId, effect: 'reset' },
          { kind: 'bundle', trustDomain: 'other.example' },
        ],
      },
    ]);
  });

  it('are in commit order, without gaps, under 100 writes at a time, of which some fail', async () => {
    const store = await stores.open();
    const heard: number[] = [];
    store.subscribe(({ revision }) => void heard.push(revision));
    const settled = await Promise.allSettled(
      Array.from({ length: 100 }, (_, index) =>
        store.write(async ({ revision, entries }) => {
          await entries.create(exampleEntry({ path: `/w${index}` }), {
            id: undefined,
            createdAt: new Date(0),
          });
          if (index % 10 === 9) throw new Error('changed its mind');
          return revision;
        }),
      ),
    );
    const revisions = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    expect(revisions).toEqual(Array.from({ length: 90 }, (_, index) => index + 1));
    expect(heard).toEqual(revisions);
    expect(await store.entries.count({})).toBe(90);
    const log = await store.changesSince(0, 1000);
    expect(log?.map(({ revision }) => revision)).toEqual(revisions);
  });

  it('survive a restart, as does the log id', async () => {
    const first = await stores.open();
    const id = await createEntry(first, '/a');
    await first.close();
    const second = await stores.open();
    expect(second.logId).toBe(first.logId);
    expect(await second.currentRevision()).toBe(1);
    expect((await second.entries.get(id))?.spiffeId).toBe('spiffe://example.org/a');
    expect(second.logId).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('do not name more than a bound: beyond it anything may have changed', async () => {
    const store = await stores.open({ mostChanges: 3 });
    const heard: (readonly Change[])[] = [];
    store.subscribe(({ changes }) => void heard.push(changes));
    const create = (count: number, name: string): Promise<void> =>
      store.write(async ({ entries }) => {
        for (let index = 0; index < count; index += 1) {
          const path = `/${name}${index}`;
          await entries.create(exampleEntry({ path }), { id: undefined, createdAt: new Date(0) });
        }
      });
    await create(3, 'few');
    await create(4, 'many');
    const log = await store.changesSince(0, 10);
    expect(log?.map(({ changes }) => changes.length)).toEqual([3, 1]);
    expect(log?.[1]?.changes).toEqual([{ kind: 'everything' }]);
    expect(heard).toEqual(log?.map(({ changes }) => changes));
    expect(await store.entries.count({})).toBe(7);
  });

  it('reach back only as far as they are kept, and say so', async () => {
    const store = await stores.open({ keepRevisions: 3 });
    for (const path of ['/a', '/b', '/c', '/d', '/e']) await createEntry(store, path);
    expect(await store.changesSince(1, 10)).toBeUndefined();
    expect((await store.changesSince(2, 10))?.map(({ revision }) => revision)).toEqual([3, 4, 5]);
    expect((await store.changesSince(2, 2))?.map(({ revision }) => revision)).toEqual([3, 4]);
    expect(await store.changesSince(5, 10)).toEqual([]);
    expect(await store.changesSince(6, 10)).toBeUndefined();
  });
});
