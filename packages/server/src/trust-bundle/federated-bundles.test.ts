import { afterEach, describe, expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { exampleEntry } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { FederatedBundles } from './federated-bundles.js';
import { emptyBundle } from './merge-bundle.js';

const ownTrustDomain = parseTrustDomain('example.org');
const partner = parseTrustDomain('partner.org');
const friend = parseTrustDomain('friend.org');

async function bundleOf(trustDomain: TrustDomain): Promise<TrustBundle> {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  const validity = {
    notBefore: new Date('2030-01-01T00:00:00Z'),
    notAfter: new Date('2031-01-01T00:00:00Z'),
  };
  const certificate = await createSelfSignedAuthority({ trustDomain, signer, ...validity });
  return {
    ...emptyBundle(trustDomain),
    x509Authorities: [{ certificate, isTainted: false }],
    sequenceNumber: 7,
    refreshHintSeconds: 60,
  };
}

const partnerBundle = await bundleOf(partner);
const friendBundle = await bundleOf(friend);

const stores: Store[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

async function createBundles(): Promise<{ readonly store: Store; readonly bundles: FederatedBundles }> {
  const store = await openStore({ path: ':memory:', log: silentLogger });
  stores.push(store);
  return { store, bundles: new FederatedBundles({ store, trustDomain: ownTrustDomain }) };
}

function createEntry(
  store: Store,
  name: string,
  federatesWith: readonly TrustDomain[],
): Promise<RegistrationEntry> {
  const content = { ...exampleEntry({ path: `/${name}`, parent: '/node' }), federatesWith };
  return store.write(({ entries }) =>
    entries.create(content, { id: undefined, createdAt: new Date('2030-01-01T00:00:00Z') }),
  );
}

describe('FederatedBundles', () => {
  it('creates each trust domain once', async () => {
    const { bundles, store } = await createBundles();
    const { bundle, revision } = await bundles.create(partnerBundle);
    expect(bundle).toEqual(partnerBundle);
    expect(revision).toBe(await store.currentRevision());
    expect(await bundles.get(partner)).toEqual(partnerBundle);
    await expect(bundles.create(partnerBundle)).rejects.toMatchObject({ reason: 'already_exists' });
  });

  it('updates what is named and leaves the rest', async () => {
    const { bundles } = await createBundles();
    await expect(bundles.update(partner, { sequenceNumber: 8 })).rejects.toMatchObject({
      reason: 'not_found',
    });
    await bundles.create(partnerBundle);
    expect((await bundles.update(partner, { sequenceNumber: 8 })).bundle).toEqual({
      ...partnerBundle,
      sequenceNumber: 8,
    });
    const { x509Authorities } = friendBundle;
    const { bundle: updated } = await bundles.update(partner, {
      x509Authorities,
      refreshHintSeconds: undefined,
    });
    expect(updated).toEqual({
      ...partnerBundle,
      sequenceNumber: 8,
      x509Authorities,
      refreshHintSeconds: undefined,
    });
    expect(await bundles.get(partner)).toEqual(updated);
  });

  it('sets one whether or not it was there', async () => {
    const { bundles } = await createBundles();
    await bundles.set(partnerBundle);
    const next = { ...partnerBundle, sequenceNumber: 8 };
    await bundles.set(next);
    expect(await bundles.get(partner)).toEqual(next);
  });

  it('lists all but our own', async () => {
    const { bundles, store } = await createBundles();
    await bundles.set(partnerBundle);
    await bundles.set(friendBundle);
    await store.write((transaction) => transaction.bundles.put(emptyBundle(ownTrustDomain)));
    const { items } = await bundles.list({ size: 10, token: undefined });
    expect(items.map(({ trustDomain }) => trustDomain)).toEqual([friend, partner]);
  });

  it('leaves our own bundle alone', async () => {
    const { bundles, store } = await createBundles();
    const own = { ...partnerBundle, trustDomain: ownTrustDomain };
    for (const attempt of [
      () => bundles.get(ownTrustDomain),
      () => bundles.create(own),
      () => bundles.update(ownTrustDomain, { sequenceNumber: 1 }),
      () => bundles.set(own),
      () => bundles.delete(ownTrustDomain, 'delete'),
    ]) {
      await expect(attempt()).rejects.toMatchObject({ reason: 'invalid_argument' });
    }
    expect(await store.currentRevision()).toBe(0);
  });

  it('stores nothing that a consumer could not read', async () => {
    const { bundles, store } = await createBundles();
    const junk = {
      ...partnerBundle,
      x509Authorities: [{ certificate: Buffer.from('junk'), isTainted: false }],
    };
    await expect(bundles.create(junk)).rejects.toThrow('X.509 authority 0: malformed certificate');
    await expect(bundles.set(junk)).rejects.toThrow('X.509 authority 0: malformed certificate');
    await expect(bundles.update(partner, junk)).rejects.toThrow('X.509 authority 0: malformed certificate');
    expect(await store.currentRevision()).toBe(0);
  });
});

describe('deleting a federated bundle', () => {
  async function withEntries(): Promise<{
    readonly store: Store;
    readonly bundles: FederatedBundles;
    readonly ids: readonly string[];
  }> {
    const { store, bundles } = await createBundles();
    await bundles.set(partnerBundle);
    await bundles.set(friendBundle);
    const one = await createEntry(store, 'one', [partner]);
    const two = await createEntry(store, 'two', [friend, partner]);
    const three = await createEntry(store, 'three', [friend]);
    return { store, bundles, ids: [one.id, two.id, three.id] };
  }

  it('is refused while entries federate with it, when restricted', async () => {
    const { bundles } = await withEntries();
    await expect(bundles.delete(partner, 'restrict')).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: 'cannot delete bundle; federated with 2 registration entries',
    });
    expect(await bundles.get(partner)).toEqual(partnerBundle);
  });

  it('takes the entries with it, when told to delete', async () => {
    const { store, bundles, ids } = await withEntries();
    await bundles.delete(partner, 'delete');
    await expect(bundles.get(partner)).rejects.toMatchObject({ reason: 'not_found' });
    expect((await store.entries.getMany(ids)).map(({ id }) => id)).toEqual([ids[2]]);
  });

  it('leaves the entries without it, when told to dissociate', async () => {
    const { store, bundles, ids } = await withEntries();
    await bundles.delete(partner, 'dissociate');
    await expect(bundles.get(partner)).rejects.toMatchObject({ reason: 'not_found' });
    const federations = await Promise.all(
      ids.map(async (id) => (await store.entries.get(id))?.federatesWith),
    );
    expect(federations).toEqual([[], [friend], [friend]]);
    expect((await store.entries.get(ids[0] ?? ''))?.revisionNumber).toBe(1);
  });

  it('is one revision, however many entries it touches, and goes through when there are none', async () => {
    const { store, bundles } = await withEntries();
    const revision = await store.currentRevision();
    await bundles.delete(partner, 'dissociate');
    expect(await store.currentRevision()).toBe(revision + 1);
    await bundles.set(partnerBundle);
    await bundles.delete(partner, 'restrict');
    await expect(bundles.delete(partner, 'restrict')).rejects.toMatchObject({ reason: 'not_found' });
  });
});
