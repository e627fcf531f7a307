import { describe, expect, it } from 'vitest';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import {
  compactEntry,
  exampleBundle,
  exampleEntry,
  exampleNode,
  exampleTrustDomain,
} from './example-records.js';
import { DATABASES, useStores } from './store-fixtures.js';

describe.each(DATABASES)('records, on %s', (database) => {
  const stores = useStores(database);

  it('come back as they went in', async () => {
    const store = await stores.open();
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
      await transaction.authorities.addRevoked('ef01', undefined);
      await transaction.authorities.addRevoked('ef01', new Date(1000));
      await transaction.authorities.addRevoked('abcd', new Date(2000));
      await transaction.entries.create(content, { id: 'web', createdAt: new Date(42) });
    });
    expect(await store.nodes.get(node.agentId)).toEqual(node);
    expect(await store.bundles.get(bundle.trustDomain)).toEqual(bundle);
    expect(await store.authorities.list()).toEqual([authority, ...tokenAuthorities]);
    expect(new Set(await store.authorities.listRevoked())).toEqual(new Set(['ef01', 'abcd']));
    await store.write(({ authorities }) => authorities.pruneRevoked(new Date(2000)));
    expect(await store.authorities.listRevoked()).toHaveLength(2);
    await store.write(({ authorities }) => authorities.pruneRevoked(new Date(2001)));
    expect(await store.authorities.listRevoked()).toEqual(['ef01']);
    const entry = { ...content, id: 'web', revisionNumber: 0, createdAt: new Date(42) };
    expect(await store.entries.get('web')).toEqual(entry);
    expect(await store.entries.getMany(['web', 'none'])).toEqual([compactEntry(entry)]);
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
    const store = await stores.open();
    const missing = agentId(exampleTrustDomain('example.org'), 'join_token', 'none');
    await store.write(async ({ entries, nodes, bundles, authorities }) => {
      for (const attempt of [
        (): Promise<unknown> => entries.update('none', exampleEntry({ path: '/a' })),
        (): Promise<unknown> => entries.delete('none'),
        (): Promise<unknown> => nodes.delete(missing),
        (): Promise<unknown> => bundles.delete(exampleTrustDomain('none.example')),
        (): Promise<unknown> => authorities.delete('none'),
      ]) {
        await expect(attempt()).rejects.toMatchObject({ reason: 'not_found' });
      }
    });
  });

  it('cannot take an entry id twice, and the transaction goes on', async () => {
    const store = await stores.open();
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
    const store = await stores.open();
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
