import { describe, expect, it } from 'vitest';
import { encodeDistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { encodeTbsCertificate, type TbsCertificateFields } from '@bonafide/shared/crypto/sign-certificate';
import { signatureAlgorithmFor } from '@bonafide/shared/crypto/signature-algorithm';
import { parseSubjectPublicKey, subjectKeyIdentifier } from '@bonafide/shared/crypto/subject-public-key';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeExtendedKeyUsages,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
  encodeX509Extension,
} from '@bonafide/shared/crypto/der/x509-extension';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { lintX509Svid, type X509SvidExpectation } from './lint-x509-svid.js';

const spki = exportSpki(await generatePrivateKey('ec-p256'));
const otherSpki = exportSpki(await generatePrivateKey('ec-p256'));
const keyId = (key: Buffer): Buffer => subjectKeyIdentifier(parseSubjectPublicKey(key, 'key').keyBits);
const spiffeId = parseSpiffeId('spiffe://example.org/web');
const dnsNames = ['a.example.org', 'b.example.org'];
const notBefore = new Date('2030-01-01T00:00:00Z');
const notAfter = new Date('2030-01-01T01:00:00Z');
const algorithm = signatureAlgorithmFor('ec-p256');
const issuer = encodeDistinguishedName({ commonName: 'authority' });
const authorityKeyId = Buffer.alloc(20, 7);

const expected: X509SvidExpectation = {
  spiffeId,
  dnsNames,
  spki,
  algorithm,
  issuer,
  authorityKeyId: authorityKeyId.toString('hex'),
  notBefore,
  notAfter,
  authorityNotAfter: new Date('2030-01-02T00:00:00Z'),
};

const extensions = {
  keyUsage: encodeKeyUsages(['digitalSignature']),
  extendedKeyUsage: encodeExtendedKeyUsages([OID.serverAuth, OID.clientAuth]),
  basicConstraints: encodeBasicConstraints({ isCa: false, pathLength: undefined }),
  authorityKeyId: encodeAuthorityKeyIdentifier(authorityKeyId),
  subjectKeyId: encodeSubjectKeyIdentifier(keyId(spki)),
  names: encodeSubjectAlternativeNameExtension({ uriNames: [spiffeId], dnsNames }, false),
};

function tbs(
  change: Partial<TbsCertificateFields> = {},
  extensionChange: Partial<typeof extensions> = {},
): Buffer {
  return encodeTbsCertificate({
    serialNumber: Buffer.alloc(16, 0x42),
    algorithm,
    issuer,
    subject: encodeDistinguishedName({ organization: ['SPIRE'] }),
    spki,
    notBefore,
    notAfter,
    extensions: Object.values({ ...extensions, ...extensionChange }),
    ...change,
  });
}

function names(uriNames: readonly string[], dns: readonly string[] = dnsNames): Partial<typeof extensions> {
  return { names: encodeSubjectAlternativeNameExtension({ uriNames, dnsNames: dns }, false) };
}

describe('lintX509Svid', () => {
  it('passes what X509-SVID asks for', () => {
    expect(lintX509Svid(tbs(), expected).spiffeId).toBe(spiffeId);
  });

  const withoutKeyUsage = Object.values(extensions).filter((extension) => extension !== extensions.keyUsage);
  it.each([
    [
      'another SPIFFE ID',
      tbs({}, names(['spiffe://example.org/admin'])),
      'the URI name is not the SPIFFE ID',
    ],
    ['two URI names', tbs({}, names([spiffeId, spiffeId])), 'not exactly one URI name'],
    ['no URI name', tbs({}, names([])), 'not exactly one URI name'],
    ['one DNS name more', tbs({}, names([spiffeId], [...dnsNames, 'c'])), 'the DNS names'],
    ['DNS names in another order', tbs({}, names([spiffeId], [...dnsNames].reverse())), 'the DNS names'],
    [
      'CA:TRUE',
      tbs({}, { basicConstraints: encodeBasicConstraints({ isCa: true, pathLength: undefined }) }),
      'is a signing certificate',
    ],
    [
      'keyCertSign',
      tbs({}, { keyUsage: encodeKeyUsages(['digitalSignature', 'keyCertSign']) }),
      'the key usage is not',
    ],
    ['no digitalSignature', tbs({}, { keyUsage: encodeKeyUsages(['keyAgreement']) }), 'the key usage is not'],
    ['no key usage', tbs({ extensions: withoutKeyUsage }), 'the key usage is not'],
    [
      'clientAuth alone',
      tbs({}, { extendedKeyUsage: encodeExtendedKeyUsages([OID.clientAuth]) }),
      'the extended key usage',
    ],
    [
      'a key usage that is not critical',
      tbs({}, { keyUsage: encodeX509Extension(OID.keyUsage, false, Buffer.from('03020780', 'hex')) }),
      'the key usage is not critical',
    ],
    [
      'a critical SAN',
      tbs({}, { names: encodeSubjectAlternativeNameExtension({ uriNames: [spiffeId], dnsNames }, true) }),
      'the subject alternative name is critical',
    ],
    [
      'an extension more',
      tbs({
        extensions: [
          ...Object.values(extensions),
          encodeX509Extension('2a0304', false, Buffer.from('0500', 'hex')),
        ],
      }),
      'other extensions',
    ],
    [
      'an extension in place of another',
      tbs({}, { subjectKeyId: encodeX509Extension('2a0304', false, Buffer.from('0500', 'hex')) }),
      'it has no subject key identifier',
    ],
    ['a second too long', tbs({ notAfter: new Date('2030-01-01T01:00:01Z') }), 'does not end when it should'],
    [
      'a second too early',
      tbs({ notBefore: new Date('2029-12-31T23:59:59Z') }),
      'does not begin when it should',
    ],
    ['no life', tbs({ notAfter: notBefore }), 'does not end when it should'],
    ['another key', tbs({ spki: otherSpki }), 'the key is not that of the CSR'],
    [
      'the key identifier of another key',
      tbs({}, { subjectKeyId: encodeSubjectKeyIdentifier(keyId(otherSpki)) }),
      'the subject key identifier',
    ],
    [
      'another authority key identifier',
      tbs({}, { authorityKeyId: encodeAuthorityKeyIdentifier(Buffer.alloc(20)) }),
      'the authority key identifier',
    ],
    [
      'another issuer',
      tbs({ issuer: encodeDistinguishedName({ commonName: 'other' }) }),
      'the issuer is not the authority',
    ],
    ['no subject', tbs({ subject: encodeDistinguishedName({}) }), 'the subject is empty'],
    ['another algorithm', tbs({ algorithm: signatureAlgorithmFor('ec-p384') }), 'the signature algorithm'],
    ['serial number zero', tbs({ serialNumber: Buffer.alloc(16) }), 'the serial number'],
    ['a short serial number', tbs({ serialNumber: Buffer.alloc(7, 1) }), 'the serial number'],
    ['a serial number of 21 bytes', tbs({ serialNumber: Buffer.alloc(20, 0xff) }), 'the serial number'],
  ])('refuses to have signed: %s', (_name, bytes, problem) => {
    expect(() => lintX509Svid(bytes, expected)).toThrow(problem);
  });

  it('refuses a SPIFFE ID without a path even when it was asked for', () => {
    const root = parseSpiffeId('spiffe://example.org');
    expect(() => lintX509Svid(tbs({}, names([root])), { ...expected, spiffeId: root })).toThrow(
      'has no path',
    );
  });

  it('refuses an SVID that outlives its authority, or ends before it begins, even when it was asked for', () => {
    const authorityNotAfter = new Date('2030-01-01T00:59:59Z');
    expect(() => lintX509Svid(tbs(), { ...expected, authorityNotAfter })).toThrow('outlives its authority');
    const backwards = { notBefore: notAfter, notAfter: notBefore };
    expect(() => lintX509Svid(tbs(backwards), { ...expected, ...backwards })).toThrow(
      'ends before it begins',
    );
  });

  it('refuses any single changed bit that matters', () => {
    const good = tbs();
    const serialStart = good.indexOf(Buffer.alloc(16, 0x42));
    const subjectValue = good.indexOf('SPIRE');
    for (let index = 0; index < good.length; index += 1) {
      // The serial number may be any number, and the subject any text.
      if (index >= serialStart && index < serialStart + 16) continue;
      if (index >= subjectValue - 12 && index < subjectValue + 5) continue;
      for (let bit = 0; bit < 8; bit += 1) {
        const mutated = Buffer.from(good);
        mutated[index] = (mutated[index] ?? 0) ^ (1 << bit);
        expect(() => lintX509Svid(mutated, expected), `byte ${index} bit ${bit}`).toThrow();
      }
    }
  });
});
