import { readFileSync } from 'node:fs';
import { certificatesOf, createTestChain, type TestPath } from '@bonafide/testing/test-chain';
import { createTestParty } from '@bonafide/testing/test-party';
import { describe, expect, it } from 'vitest';
import { derSequence } from './der/der-writer.js';
import { objectIdentifierHex, OID } from './der/object-identifier.js';
import { encodeX509Extension } from './der/x509-extension.js';
import { decodePem } from './pem.js';
import {
  verifyCertificatePath,
  type CertificatePath,
  type CertificatePathEvidence,
} from './verify-certificate-path.js';

const EK_PURPOSE = '2.23.133.8.1';
const UNKNOWN_EXTENSION = '1.3.6.1.4.1.99999.1';
const unknownCritical = [encodeX509Extension(objectIdentifierHex(UNKNOWN_EXTENSION), true, derSequence())];
const now = new Date();
const chain = await createTestChain();
const { leaf, lower, root } = chain;

function verify(path: Partial<TestPath>, more: Partial<CertificatePathEvidence> = {}): CertificatePath {
  return verifyCertificatePath({ ...certificatesOf({ ...chain, ...path }), now, ...more });
}

describe('verifyCertificatePath, asked for a purpose,', () => {
  const purpose = objectIdentifierHex(EK_PURPOSE);

  it('wants it of the leaf', async () => {
    const marked = await createTestParty({ name: 'leaf', issuer: lower, extendedKeyUsages: [purpose] });
    const other = await createTestParty({ name: 'leaf', issuer: lower, extendedKeyUsages: [OID.clientAuth] });
    const any = await createTestParty({
      name: 'leaf',
      issuer: lower,
      extendedKeyUsages: [OID.anyExtendedKeyUsage],
    });
    expect(verify({ leaf: marked }, { extendedKeyUsage: EK_PURPOSE }).path).toHaveLength(4);
    for (const without of [leaf, other, any]) {
      expect(() => verify({ leaf: without }, { extendedKeyUsage: EK_PURPOSE })).toThrow(
        'lacks the extended key usage 2.23.133.8.1',
      );
    }
  });

  it('wants intermediates that are limited to be allowed it', async () => {
    const wish = { name: 'leaf', extendedKeyUsages: [purpose] };
    for (const [purposes, isAllowed] of [
      [[OID.serverAuth], false],
      [[purpose, OID.serverAuth], true],
      [[OID.anyExtendedKeyUsage], true],
    ] as const) {
      const found = await createTestChain('lower', { extendedKeyUsages: purposes });
      const child = { ...found, leaf: await createTestParty({ ...wish, issuer: found.lower }) };
      const check = (): unknown => verify(child, { extendedKeyUsage: EK_PURPOSE });
      if (isAllowed) expect(check).not.toThrow();
      else expect(check).toThrow('is not allowed the extended key usage');
      expect(verify(child).path).toHaveLength(4);
    }
  });

  it('lets the caller handle critical extensions of the leaf, and only of the leaf', async () => {
    const handledCriticalExtensions = [UNKNOWN_EXTENSION];
    expect(
      verify(await createTestChain('leaf', { more: unknownCritical }), { handledCriticalExtensions }).path,
    ).toHaveLength(4);
    const found = await createTestChain('lower', { more: unknownCritical });
    expect(() => verify(found, { handledCriticalExtensions })).toThrow('not understood');
  });
});

describe('certificates of TPMs', () => {
  const read = (name: string): Buffer => readFileSync(new URL(`../tpm/fixtures/ek/${name}`, import.meta.url));
  const [issuer = Buffer.alloc(0)] = decodePem('CERTIFICATE', read('issuercert.pem').toString());
  const [ekRoot = Buffer.alloc(0)] = decodePem(
    'CERTIFICATE',
    read('swtpm-localca-rootca-cert.pem').toString(),
  );
  const evidence = {
    intermediates: [issuer],
    roots: [ekRoot],
    now: new Date('2027-01-01'),
    extendedKeyUsage: EK_PURPOSE,
  };

  it.each(['ek-rsa2048.crt', 'ek-p256.crt', 'ek-secp384r1.crt'])('lead to their manufacturer: %s', (name) => {
    const der = read(name);
    const found = verifyCertificatePath({ ...evidence, leaf: der });
    expect(found.path).toHaveLength(3);
    expect(() => verifyCertificatePath({ ...evidence, leaf: der, roots: [root.certificate] })).toThrow(
      'does not lead',
    );
    expect(() => verifyCertificatePath({ ...evidence, leaf: der, intermediates: [] })).toThrow(
      'does not lead',
    );
    expect(() => verifyCertificatePath({ ...evidence, leaf: der, now: new Date('2026-01-01') })).toThrow(
      'not valid before',
    );
  });

  it('live to the end of time, which is not beyond it', () => {
    const { leaf } = verifyCertificatePath({
      ...evidence,
      leaf: read('ek-rsa2048.crt'),
      now: new Date('9999-12-31T23:59:58Z'),
    });
    expect(leaf.notAfter.toISOString()).toBe('9999-12-31T23:59:59.000Z');
  });

  it('with an empty subject', () => {
    const { leaf } = verifyCertificatePath({ ...evidence, leaf: read('ek-p256.crt') });
    expect(leaf.subject).toEqual(derSequence());
  });
});
