import { randomBytes, sign } from 'node:crypto';
import { certificatesOf, createTestChain, type TestPath } from '@bonafide/testing/test-chain';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { describe, expect, it } from 'vitest';
import { DER_TAG } from './der/der-tag.js';
import {
  derBitString,
  derElement,
  derObjectIdentifier,
  derSequence,
  derUnsignedInteger,
} from './der/der-writer.js';
import { encodeOid, objectIdentifierHex, OID } from './der/object-identifier.js';
import { encodeX509Extension } from './der/x509-extension.js';
import { encodeCertificate, encodeTbsCertificate } from './sign-certificate.js';
import {
  verifyCertificatePath,
  type CertificatePath,
  type CertificatePathEvidence,
} from './verify-certificate-path.js';

const now = new Date();
const HOUR_MS = 3_600_000;
const chain = await createTestChain();
const { leaf, lower, upper, root } = chain;

function verify(path: Partial<TestPath>, more: Partial<CertificatePathEvidence> = {}): CertificatePath {
  return verifyCertificatePath({ ...certificatesOf({ ...chain, ...path }), now, ...more });
}

describe('verifyCertificatePath refuses', () => {
  it('signatures over SHA-1', () => {
    const algorithm = derSequence(encodeOid(objectIdentifierHex('1.2.840.10045.4.1')));
    const fields = {
      serialNumber: Buffer.from([1]),
      algorithm: { name: 'ecdsa-with-sha1', keyKind: 'ec', hash: 'sha256', identifier: algorithm },
      issuer: root.subject,
      subject: leaf.subject,
      spki: leaf.privateKey.asymmetricKeyType === 'ec' ? spkiOf(leaf) : Buffer.alloc(0),
      notBefore: new Date(now.getTime() - HOUR_MS),
      notAfter: new Date(now.getTime() + HOUR_MS),
      extensions: [encodeX509Extension(OID.basicConstraints, true, derSequence())],
    } as const;
    const tbs = encodeTbsCertificate(fields);
    const weak = encodeCertificate(tbs, fields.algorithm, sign('sha1', tbs, root.privateKey));
    expect(() => verify({ leaf: { ...leaf, certificate: weak } })).toThrow('unsupported signature algorithm');
  });

  it.each(['leaf', 'lower', 'root'] as const)(
    'an RSA key of 16,384 bits as %s, before any arithmetic',
    async (place) => {
      const found = await createTestChain(place, { spki: hugeRsaKey() });
      expect(() => verify(found)).toThrow(
        place === 'root' ? 'does not lead to any' : 'RSA key of 16384 bits',
      );
    },
  );

  it('authorities that vouch for each other in a circle', async () => {
    const [a, b] = [
      await createTestParty({ name: 'a', isCa: true }),
      await createTestParty({ name: 'b', isCa: true }),
    ];
    const aByB = await createTestParty({ name: 'a', isCa: true, issuer: b, privateKey: a.privateKey });
    const bByA = await createTestParty({ name: 'b', isCa: true, issuer: a, privateKey: b.privateKey });
    const child = await createTestParty({ name: 'leaf', issuer: aByB });
    const found = { leaf: child, intermediates: [aByB, bByA, a, b] };
    expect(() => verify(found)).toThrow('does not lead to any');
    expect(verify({ ...found, roots: [b] }).path).toHaveLength(3);
  });

  it('a hundred look-alikes, after a bounded number of signatures', async () => {
    const lookAlike = { name: 'upper', isCa: true, withoutKeyIds: true } as const;
    const child = await createTestParty({ name: 'leaf', issuer: { ...upper }, withoutKeyIds: true });
    const many = await Promise.all(Array.from({ length: 100 }, () => createTestParty(lookAlike)));
    expect(() => verify({ leaf: child, intermediates: many })).toThrow(
      '100 intermediate certificates; accepted are 9',
    );
    // The one that is right comes after as many wrong ones as are looked at.
    const found = { leaf: child, intermediates: [...many, upper] };
    expect(() => verify(found, { maximumIntermediates: 101 })).toThrow(
      'the signature of an intermediate certificate',
    );
    expect(
      verify({ leaf: child, intermediates: [upper, ...many] }, { maximumIntermediates: 101 }).path,
    ).toHaveLength(3);
  });

  it('a web of look-alikes that all sign each other', async () => {
    const key = upper.privateKey;
    const twins = await Promise.all(
      Array.from({ length: 30 }, () =>
        createTestParty({ name: 'twin', isCa: true, privateKey: key, withoutKeyIds: true }),
      ),
    );
    const child = await createTestParty({ name: 'leaf', issuer: twins[0], withoutKeyIds: true });
    expect(() => verify({ leaf: child, intermediates: twins }, { maximumIntermediates: 30 })).toThrow();
  });

  it('bytes after a certificate, and certificates cut short', () => {
    const longer = { ...leaf, certificate: Buffer.concat([leaf.certificate, Buffer.from([0])]) };
    expect(() => verify({ leaf: longer })).toThrow('trailing bytes');
    const longerIntermediate = {
      ...lower,
      certificate: Buffer.concat([lower.certificate, Buffer.alloc(16)]),
    };
    expect(() => verify({ leaf, intermediates: [longerIntermediate, upper] })).toThrow('trailing bytes');
    for (const length of [0, 1, 4, 100, leaf.certificate.length - 1]) {
      expect(() => verify({ leaf: { ...leaf, certificate: leaf.certificate.subarray(0, length) } })).toThrow(
        /malformed/,
      );
    }
  });

  it('a leaf with any byte changed', () => {
    for (let index = 0; index < leaf.certificate.length; index += 7) {
      const certificate = Buffer.from(leaf.certificate);
      certificate[index] = (certificate[index] ?? 0) ^ 0x01;
      expect(() => verify({ leaf: { ...leaf, certificate } }), `byte ${index}`).toThrow();
    }
  });

  it('name constraints, which it does not evaluate', async () => {
    const constraints = encodeX509Extension(OID.nameConstraints, false, derSequence());
    for (const place of ['leaf', 'lower', 'upper', 'root'] as const) {
      const found = await createTestChain(place, { more: [constraints] });
      expect(() => verify(found)).toThrow('name constraints');
    }
  });
});

function spkiOf({ privateKey }: TestParty): Buffer {
  const { x = '', y = '' } = privateKey.export({ format: 'jwk' });
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
  return derSequence(derSequence(encodeOid(OID.ecPublicKey), encodeOid(OID.p256)), derBitString(point));
}

/** Not a product of primes, which nobody should find out. */
function hugeRsaKey(): Buffer {
  const modulus = randomBytes(2048);
  modulus[0] = 0xff;
  modulus[2047] = (modulus[2047] ?? 0) | 1;
  const key = derSequence(derUnsignedInteger(modulus), derUnsignedInteger(Buffer.from([1, 0, 1])));
  return derSequence(
    derSequence(derObjectIdentifier('1.2.840.113549.1.1.1'), derElement(DER_TAG.null)),
    derBitString(key),
  );
}
