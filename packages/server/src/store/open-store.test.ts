import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import type { EntryChange } from './change.js';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from './example-records.js';
import { openStore, type StoreOptions } from './open-store.js';
import type { CommittedRevision, Store } from './store.js';
import { SqliteDriver } from './sqlite-driver.js';

const opened: Store[] = [];

async function open(options: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openStore({ path: ':memory:', log: silentLogger, ...options });
  opened.push(store);
  return store;
}

function createEntry(store: Store, path: string): Promise<string> {
  return store.write(async ({ entries }) => {
    const entry = await entries.create(exampleEntry({ path }), { id: undefined, createdAt: new Date(0) });
    return entry.id;
  });
}

const NONCE = /^[A-Za-z0-9_-]{12}$/;

function createdEntry(entryId: string, path: string): EntryChange {
  const { spiffeId, parentId } = exampleEntry({ path });
  return { kind: 'entry', entryId, spiffeIds: [spiffeId], parentIds: [parentId], trustDomains: [] };
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

describe('revisions', () => {
  it('start at 0 and grow by one with each transaction, whatever it touched', async () => {
    const store = await open();
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
    const store = await open();
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
    using directory = createTemporaryDirectory();
    const store = await open({ path: directory.join('store.sqlite3') });
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
    await store.close();
    opened.pop();
  });

  it('survive a restart, as does the log id', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('store.sqlite3');
    const first = await openStore({ path, log: silentLogger });
    const id = await createEntry(first, '/a');
    await first.close();
    const second = await openStore({ path, log: silentLogger });
    expect(second.logId).toBe(first.logId);
    expect(await second.currentRevision()).toBe(1);
    expect((await second.entries.get(id))?.spiffeId).toBe('spiffe://example.org/a');
    await second.close();
    expect((await open()).logId).not.toBe(first.logId);
  });

  it('reach back only as far as they are kept, and say so', async () => {
    const store = await open({ keepRevisions: 3 });
    for (const path of ['/a', '/b', '/c', '/d', '/e']) await createEntry(store, path);
    expect(await store.changesSince(1, 10)).toBeUndefined();
    expect((await store.changesSince(2, 10))?.map(({ revision }) => revision)).toEqual([3, 4, 5]);
    expect((await store.changesSince(2, 2))?.map(({ revision }) => revision)).toEqual([3, 4]);
    expect(await store.changesSince(5, 10)).toEqual([]);
    expect(await store.changesSince(6, 10)).toBeUndefined();
  });
});

describe('a write', () => {
  it('leaves nothing behind when it throws', async () => {
    const store = await open();
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
    const store = await open();
    const order: string[] = [];
    store.subscribe(async () => {
      order.push(`heard, ${await store.entries.count({})} there`);
    });
    await createEntry(store, '/a');
    order.push('resolved');
    expect(order).toEqual(['heard, 1 there', 'resolved']);
  });

  it('stands when a listener fails, and the other listeners still hear of it', async () => {
    const store = await open();
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
      const store = await open();
      await expect(store.write(() => use(store))).rejects.toThrow('inside of a write');
      await createEntry(store, '/a');
    },
  );

  it('cannot be used after its end', async () => {
    const store = await open();
    const { entries } = await store.write((transaction) => Promise.resolve(transaction));
    await expect(
      entries.create(exampleEntry({ path: '/late' }), { id: undefined, createdAt: new Date(0) }),
    ).rejects.toThrow();
    expect(await store.entries.count({})).toBe(0);
  });

  it('lets others read the state before it while it is under way', async () => {
    using directory = createTemporaryDirectory();
    const store = await openStore({ path: directory.join('store.sqlite3'), log: silentLogger });
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

describe('the database file', () => {
  it('is for its owner alone, in a folder for its owner alone', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('data', 'store.sqlite3');
    const store = await open({ path });
    await createEntry(store, '/a');
    expect(statSync(directory.join('data')).mode & 0o777).toBe(0o700);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) {
      expect(existsSync(file)).toBe(true);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
    await store.close();
    opened.pop();
  });

  it('is for one server at a time', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('store.sqlite3');
    const first = await openStore({ path, log: silentLogger });
    await createEntry(first, '/a');
    await expect(openStore({ path, log: silentLogger })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringContaining('in use by another server') as unknown,
    });
    await createEntry(first, '/b');
    await first.close();
    const second = await openStore({ path, log: silentLogger });
    expect(await second.entries.count({})).toBe(2);
    await second.close();
  });

  it('is refused, untouched, when a newer release wrote it', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('store.sqlite3');
    await (await openStore({ path, log: silentLogger })).close();
    const raw = new SqliteDriver(path);
    raw.exec("insert into applied_migrations values ('0999_from_the_future', '2040-01-01T00:00:00Z')");
    raw.pragma('wal_checkpoint(TRUNCATE)');
    raw.close();
    const before = readFileSync(path);
    await expect(openStore({ path, log: silentLogger })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringMatching(
        /0999_from_the_future.*newest this release knows is 0004_several_servers/,
      ) as string,
    });
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('is refused when it is something else', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('notes.txt');
    writeFileSync(path, 'not a database '.repeat(100));
    await expect(openStore({ path, log: silentLogger })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringContaining('not a database') as string,
    });
  });

  it('is refused when it cannot be opened', async () => {
    using directory = createTemporaryDirectory();
    writeFileSync(directory.join('file'), '');
    await expect(
      openStore({ path: directory.join('file', 'store.sqlite3'), log: silentLogger }),
    ).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringContaining('cannot open the database') as string,
    });
  });
});

describe('records', () => {
  it('come back as they went in', async () => {
    const store = await open();
    const node = exampleNode({ nextSerialNumber: 'ff', nextExpiresAt: new Date(5), agentVersion: '1.2.3' });
    const bundle = exampleBundle('other.example');
    const authority = {
      kind: 'x509',
      authorityId: 'abcd',
      serverId: '',
      slot: 'prepared',
      keyId: 'x509-A',
      certificateChain: [Buffer.from([1, 2]), Buffer.from([3])],
      upstreamAuthorityId: 'ef01',
      notBefore: new Date(1000),
      notAfter: new Date(2000),
      isTainted: false,
    } as const;
    const tokenAuthorities = (['jwt', 'wit'] as const).map((kind) => ({
      kind,
      serverId: '',
      authorityId: `${kind}-name`,
      slot: 'old' as const,
      keyId: `${kind}-A`,
      publicKey: Buffer.from([9, 9]),
      notBefore: new Date(3000),
      notAfter: new Date(4000),
      isTainted: true,
    }));
    const content = {
      ...exampleEntry({ path: '/web' }),
      federatesWith: [exampleTrustDomain('other.example')],
      x509SvidTtlSeconds: 60,
      jwtSvidTtlSeconds: 5,
      isAdmin: true,
      isDownstream: true,
      expiresAt: new Date(3_000_000_000_000),
      dnsNames: ['web.example.org', 'a.example.org'],
      storesSvid: true,
      hint: 'external',
      disablesX509SvidPrefetch: true,
      includesJwtSvidJti: true,
    };
    await store.write(async (transaction) => {
      await transaction.nodes.put(node);
      await transaction.bundles.put(bundle);
      await transaction.authorities.put(authority);
      for (const record of tokenAuthorities) await transaction.authorities.put(record);
      await transaction.authorities.addRevoked('ef01');
      await transaction.authorities.addRevoked('ef01');
      await transaction.entries.create(content, { id: 'web', createdAt: new Date(42) });
    });
    expect(await store.nodes.get(node.agentId)).toEqual(node);
    expect(await store.bundles.get(bundle.trustDomain)).toEqual(bundle);
    expect(await store.authorities.list()).toEqual([authority, ...tokenAuthorities]);
    expect(await store.authorities.listRevoked()).toEqual(['ef01']);
    const entry = { ...content, id: 'web', revisionNumber: 0, createdAt: new Date(42) };
    expect(await store.entries.get('web')).toEqual(entry);
    expect(await store.entries.getMany(['web', 'none'])).toEqual([entry]);
    await store.write(async (transaction) => {
      await transaction.authorities.put({ ...authority, slot: 'active', isTainted: true });
    });
    expect((await store.authorities.list())[0]).toEqual({ ...authority, slot: 'active', isTainted: true });
    await store.write(async (transaction) => {
      for (const authorityId of ['abcd', 'jwt-name', 'wit-name']) {
        await transaction.authorities.delete(authorityId);
      }
      await transaction.entries.delete('web');
      await transaction.bundles.delete(bundle.trustDomain);
      await transaction.nodes.delete(node.agentId);
    });
    expect(await store.authorities.list()).toEqual([]);
    expect(await store.bundles.count()).toBe(0);
    expect(await store.nodes.count({})).toBe(0);
  });

  it('that are not there cannot be changed or deleted', async () => {
    const store = await open();
    const missing = agentId(exampleTrustDomain('example.org'), 'join_token', 'none');
    await store.write(async ({ entries, nodes, bundles, authorities }) => {
      for (const attempt of [
        entries.update('none', exampleEntry({ path: '/a' })),
        entries.delete('none'),
        nodes.delete(missing),
        bundles.delete(exampleTrustDomain('none.example')),
        authorities.delete('none'),
      ]) {
        await expect(attempt).rejects.toMatchObject({ reason: 'not_found' });
      }
    });
  });

  it('cannot take an entry id twice, and the transaction goes on', async () => {
    const store = await open();
    await store.write(async ({ entries }) => {
      const options = { id: 'a', createdAt: new Date(0) };
      await entries.create(exampleEntry({ path: '/a' }), options);
      await expect(entries.create(exampleEntry({ path: '/b' }), options)).rejects.toMatchObject({
        reason: 'already_exists',
      });
      await entries.create(exampleEntry({ path: '/b' }), { ...options, id: 'b' });
    });
    expect(await store.entries.count({})).toBe(2);
  });

  it('keep a bundle that entries name', async () => {
    const store = await open();
    const bundle = exampleBundle('other.example');
    await store.write(async ({ bundles, entries }) => {
      await bundles.put(bundle);
      const content = { ...exampleEntry({ path: '/a' }), federatesWith: [bundle.trustDomain] };
      await entries.create(content, { id: 'a', createdAt: new Date(0) });
    });
    const remove = (): Promise<void> =>
      store.write(async ({ bundles }) => {
        await bundles.delete(bundle.trustDomain);
      });
    await expect(remove()).rejects.toMatchObject({ reason: 'failed_precondition' });
    await store.write(async ({ bundles, entries }) => {
      await bundles.put({ ...bundle, sequenceNumber: 2 });
      await entries.update('a', exampleEntry({ path: '/a' }));
    });
    await remove();
    expect(await store.bundles.count()).toBe(0);
  });
});

describe('a join token', () => {
  it('is spent once, whoever races for it, and is not in the database file (invariant 2)', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('store.sqlite3');
    const store = await openStore({ path, log: silentLogger });
    const token = { token: 'f00dbeef-secret', expiresAt: new Date(1000), aliasId: undefined };
    await store.write(async ({ joinTokens }) => {
      await joinTokens.create(token);
      await expect(joinTokens.create(token)).rejects.toMatchObject({ reason: 'already_exists' });
    });
    for (const file of [path, `${path}-wal`]) expect(readFileSync(file).includes('f00dbeef')).toBe(false);
    const spent = await Promise.all(
      Array.from({ length: 20 }, () => store.write(({ joinTokens }) => joinTokens.spend(token.token))),
    );
    expect(spent.filter((found) => found !== undefined)).toEqual([token]);
    await store.close();
  });

  it('is not spent when the transaction that spends it fails', async () => {
    const store = await open();
    const token = { token: 'a', expiresAt: new Date(1000), aliasId: undefined };
    await store.write(({ joinTokens }) => joinTokens.create(token));
    await expect(
      store.write(async ({ joinTokens }) => {
        await joinTokens.spend('a');
        throw new Error('the CSR was bad');
      }),
    ).rejects.toThrow();
    expect(await store.write(({ joinTokens }) => joinTokens.spend('a'))).toEqual(token);
  });

  it('is removed once it has expired', async () => {
    const store = await open();
    await store.write(async ({ joinTokens }) => {
      await joinTokens.create({ token: 'old', expiresAt: new Date(1000), aliasId: undefined });
      await joinTokens.create({ token: 'new', expiresAt: new Date(1001), aliasId: undefined });
      expect(await joinTokens.deleteExpired(new Date(1000))).toBe(1);
      expect(await joinTokens.spend('old')).toBeUndefined();
      expect(await joinTokens.spend('new')).toBeDefined();
    });
  });
});
