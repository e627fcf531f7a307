import { afterEach, describe, expect, it } from 'vitest';
import type { X509Authority } from '@bonafide/shared/bundle/trust-bundle';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createSelfSignedAuthority } from '@bonafide/shared/crypto/self-signed-authority';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { appendToBundle, emptyBundle, isPastUse, pruneBundle } from './merge-bundle.js';
import { MAX_X509_AUTHORITIES, OwnBundle } from './own-bundle.js';

const trustDomain = parseTrustDomain('example.org');
const notBefore = new Date('2030-01-01T00:00:00Z');
const notAfter = new Date('2030-01-01T06:00:00Z');

async function createAuthority(): Promise<X509Authority> {
  const signer = createKeySigner(await generatePrivateKey('ec-p256'));
  return {
    certificate: await createSelfSignedAuthority({ trustDomain, signer, notBefore, notAfter }),
    isTainted: false,
  };
}

const one = await createAuthority();
const two = await createAuthority();
const publicKey = exportSpki(await generatePrivateKey('ec-p256'));
const token = { publicKey, keyId: 'a', expiresAt: notAfter, isTainted: false };

const stores: Store[] = [];
afterEach(async () => {
  for (const store of stores.splice(0)) await store.close();
});

async function createBundle(): Promise<{ readonly store: Store; readonly own: OwnBundle }> {
  const store = await openStore({ path: ':memory:', log: silentLogger });
  stores.push(store);
  return { store, own: new OwnBundle({ store, trustDomain }) };
}

describe('OwnBundle', () => {
  it('is not there before anything was published', async () => {
    const { own } = await createBundle();
    await expect(own.get()).rejects.toMatchObject({ reason: 'not_found' });
  });

  it('grows by what is appended, and counts each growth', async () => {
    const { own } = await createBundle();
    await own.append({ x509Authorities: [one] });
    const { bundle: grown } = await own.append({
      x509Authorities: [two, one],
      jwtAuthorities: [token],
      witAuthorities: [{ ...token, keyId: 'b' }],
    });
    expect(grown).toMatchObject({ x509Authorities: [one, two], jwtAuthorities: [token], sequenceNumber: 2 });
    expect(await own.get()).toEqual(grown);
  });

  it('takes no revision for what it has already', async () => {
    const { own, store } = await createBundle();
    await own.append({ x509Authorities: [one] });
    const revision = await store.currentRevision();
    expect(await own.append({ x509Authorities: [{ ...one, isTainted: true }] })).toMatchObject({
      bundle: { sequenceNumber: 1 },
      revision: undefined,
    });
    expect(await store.currentRevision()).toBe(revision);
  });

  it.each([
    ['nothing', {}, 'no authorities to append'],
    [
      'junk',
      { x509Authorities: [{ certificate: Buffer.from('junk'), isTainted: false }] },
      'X.509 authority 0: malformed certificate',
    ],
    [
      'a JWT key that is none',
      { jwtAuthorities: [{ ...token, publicKey: Buffer.from('junk') }] },
      'JWT authority 0: ',
    ],
    [
      'a WIT key that is none',
      { witAuthorities: [{ ...token, publicKey: Buffer.from('junk') }] },
      'WIT authority 0: ',
    ],
  ])('refuses %s', async (_name, additions, problem) => {
    const { own } = await createBundle();
    await expect(own.append(additions)).rejects.toThrow(problem);
    await expect(own.append(additions)).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('does not grow without bound', async () => {
    const { own, store } = await createBundle();
    // The store does not read certificates, so this is quicker than making them.
    const x509Authorities = Array.from({ length: MAX_X509_AUTHORITIES }, (_, index) => ({
      certificate: Buffer.from(`certificate ${index}`),
      isTainted: false,
    }));
    await store.write(({ bundles }) => bundles.put({ ...emptyBundle(trustDomain), x509Authorities }));
    await expect(own.append({ x509Authorities: [one] })).rejects.toMatchObject({
      reason: 'resource_exhausted',
    });
  });
});

describe('a bundle', () => {
  const full = appendToBundle(emptyBundle(trustDomain), {
    x509Authorities: [one, two],
    jwtAuthorities: [token],
  });

  it('stays the same object when nothing changes', () => {
    expect(appendToBundle(full, { x509Authorities: [two] })).toBe(full);
    expect(pruneBundle(full, notAfter)).toBe(full);
  });

  it('loses an authority once it has been expired for as long as it lived', () => {
    expect(isPastUse({ notBefore, notAfter }, new Date('2030-01-01T12:00:00Z'))).toBe(false);
    expect(isPastUse({ notBefore, notAfter }, new Date('2030-01-01T12:00:01Z'))).toBe(true);
    const pruned = pruneBundle(full, new Date('2030-01-01T13:00:00Z'));
    expect(pruned).toMatchObject({ x509Authorities: [], jwtAuthorities: [token], sequenceNumber: 2 });
    expect(pruneBundle(full, new Date('2030-01-02T06:00:01Z')).jwtAuthorities).toEqual([]);
  });

  it('keeps one that lived for a year for a day', () => {
    const year = { notBefore: new Date('2029-01-01T06:00:00Z'), notAfter };
    expect(isPastUse(year, new Date('2030-01-02T06:00:00Z'))).toBe(false);
    expect(isPastUse(year, new Date('2030-01-02T06:00:01Z'))).toBe(true);
  });
});
