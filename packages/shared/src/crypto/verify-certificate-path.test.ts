import { writeFile } from 'node:fs/promises';
import { runProcess } from '@bonafide/testing/run-command';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { certificatesOf, createTestChain, type TestPath } from '@bonafide/testing/test-chain';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { describe, expect, it } from 'vitest';
import { derSequence } from './der/der-writer.js';
import { objectIdentifierHex } from './der/object-identifier.js';
import { encodeX509Extension } from './der/x509-extension.js';
import { encodePem } from './pem.js';
import {
  verifyCertificatePath,
  type CertificatePath,
  type CertificatePathEvidence,
} from './verify-certificate-path.js';

const UNKNOWN_EXTENSION = '1.3.6.1.4.1.99999.1';
const now = new Date();
const hour = 3_600_000;
const hoursFromNow = (hours: number): Date => new Date(now.getTime() + hours * hour);
const [past, longPast, future, farFuture] = [
  hoursFromNow(-1),
  hoursFromNow(-2),
  hoursFromNow(1),
  hoursFromNow(2),
] as const;

const chain = await createTestChain();
const { leaf, lower, upper, root } = chain;

function verify(path: Partial<TestPath>, more: Partial<CertificatePathEvidence> = {}): CertificatePath {
  return verifyCertificatePath({ ...certificatesOf({ ...chain, ...path }), now, ...more });
}

/** What `openssl verify` says of the same. */
async function opensslAccepts({
  leaf = chain.leaf,
  intermediates = [lower, upper],
  roots = [root],
}: Partial<TestPath>): Promise<boolean> {
  using directory = createTemporaryDirectory();
  const pem = (parties: readonly TestParty[]): string =>
    parties.map(({ certificate }) => encodePem('CERTIFICATE', certificate)).join('');
  await Promise.all([
    writeFile(directory.join('leaf'), pem([leaf])),
    writeFile(directory.join('untrusted'), pem(intermediates)),
    writeFile(directory.join('roots'), pem(roots)),
  ]);
  const untrusted = intermediates.length === 0 ? [] : ['-untrusted', directory.join('untrusted')];
  const args = [
    'verify',
    '-no-CApath',
    '-CAfile',
    directory.join('roots'),
    ...untrusted,
    directory.join('leaf'),
  ];
  const { code } = await runProcess('openssl', args, { limitMs: 120_000 });
  return code === 0;
}

const unknownCritical = [encodeX509Extension(objectIdentifierHex(UNKNOWN_EXTENSION), true, derSequence())];
const everywhere = ['leaf', 'lower', 'upper', 'root'] as const;
const signers = ['lower', 'upper', 'root'] as const;

describe('verifyCertificatePath accepts, as openssl does,', () => {
  it('a chain through intermediates, whatever their order and whoever else is there', async () => {
    const stranger = await createTestParty({ name: 'stranger', isCa: true });
    const found = { leaf, intermediates: [stranger, upper, lower], roots: [stranger, root] };
    expect(verify(found).path.map(({ der }) => der)).toEqual(
      [leaf, lower, upper, root].map(({ certificate }) => certificate),
    );
    expect(await opensslAccepts(found)).toBe(true);
  });

  it('a leaf right below its root, and an anchor that is not self-signed', async () => {
    const direct = { leaf: await createTestParty({ name: 'leaf', issuer: root }), intermediates: [] };
    expect(verify(direct).path).toHaveLength(2);
    expect(await opensslAccepts(direct)).toBe(true);
    expect(verify({ leaf, intermediates: [lower], roots: [upper] }).path).toHaveLength(3);
  });

  it.each(['rsa-2048', 'ec-p384'] as const)('signatures of %s', async (keyType) => {
    const found = await createTestChain('upper', { keyType });
    expect(verify(found).path).toHaveLength(4);
    expect(await opensslAccepts(found)).toBe(true);
  });

  it('a path as long as is allowed', async () => {
    const found = await createTestChain('upper', { pathLength: 1 });
    expect(verify(found).path).toHaveLength(4);
    expect(await opensslAccepts(found)).toBe(true);
  });

  it('an intermediate that comes twice, once with an old certificate', async () => {
    const old = await createTestParty({
      name: 'upper',
      isCa: true,
      issuer: root,
      privateKey: upper.privateKey,
      notBefore: longPast,
      notAfter: past,
    });
    expect(verify({ leaf, intermediates: [old, lower, upper] }).path).toHaveLength(4);
  });
});

describe('verifyCertificatePath refuses, as openssl does,', () => {
  it.each(signers)('a certificate without CA:TRUE as %s', async (place) => {
    const found = await createTestChain(place, { isCa: false, keyUsages: ['keyCertSign'] });
    expect(() => verify(found)).toThrow('is not a signing certificate');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(signers)('a certificate without keyCertSign as %s', async (place) => {
    const found = await createTestChain(place, { keyUsages: ['digitalSignature'] });
    expect(() => verify(found)).toThrow('lacks the key usage keyCertSign');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(everywhere)('one that has expired as %s', async (place) => {
    const found = await createTestChain(place, { notBefore: longPast, notAfter: past });
    expect(() => verify(found)).toThrow('expired at');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(everywhere)('one that is not valid yet as %s', async (place) => {
    const found = await createTestChain(place, { notBefore: future, notAfter: farFuture });
    expect(() => verify(found)).toThrow('is not valid before');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each(everywhere)('an unknown critical extension of %s', async (place) => {
    const found = await createTestChain(place, { more: unknownCritical });
    expect(() => verify(found)).toThrow('a critical extension that is not understood');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each([
    ['upper', 0, 'an intermediate certificate allows 0 intermediates below it, not 1'],
    ['root', 1, 'the authority allows 1 intermediates below it, not 2'],
    ['root', 0, 'the authority allows 0 intermediates below it, not 2'],
  ] as const)('a path longer than %s allows', async (place, pathLength, message) => {
    const found = await createTestChain(place, { pathLength });
    expect(() => verify(found)).toThrow(message);
    expect(await opensslAccepts(found)).toBe(false);
  });

  it('an issuer of another name with the right key', async () => {
    const renamed = await createTestParty({ name: 'other', isCa: true, privateKey: root.privateKey });
    const found = { leaf, roots: [renamed] };
    expect(() => verify(found)).toThrow('does not lead to any of the trusted authorities');
    expect(await opensslAccepts(found)).toBe(false);
  });

  it.each([true, false])(
    'an issuer of the right name with another key, key identifiers left out: %s',
    async (withoutKeyIds) => {
      const child = await createTestParty({ name: 'leaf', issuer: root, withoutKeyIds });
      const impostor = await createTestParty({ name: 'root', isCa: true, withoutKeyIds });
      const found = { leaf: child, intermediates: [], roots: [impostor] };
      expect(() => verify(found)).toThrow(
        withoutKeyIds ? 'the signature of the authority' : 'does not lead to',
      );
      expect(await opensslAccepts(found)).toBe(false);
    },
  );

  it('a leaf that vouches for itself, and one that is the anchor', async () => {
    const selfMade = await createTestParty({ name: 'leaf' });
    for (const found of [
      { leaf: selfMade, intermediates: [selfMade] },
      { leaf: selfMade, intermediates: [selfMade], roots: [selfMade] },
    ]) {
      expect(() => verify(found)).toThrow();
    }
    expect(await opensslAccepts({ leaf: selfMade, intermediates: [] })).toBe(false);
  });

  it('a path that is missing a link, and one without any anchor', async () => {
    for (const found of [
      { leaf, intermediates: [lower] },
      { leaf, intermediates: [upper] },
    ]) {
      expect(() => verify(found)).toThrow('does not lead to any');
      expect(await opensslAccepts(found)).toBe(false);
    }
    expect(() => verify({ leaf, roots: [] })).toThrow('does not lead to any');
    expect(() => verify({ leaf, intermediates: [lower, upper, root], roots: [] })).toThrow(
      'does not lead to any',
    );
  });
});
