import { describe, expect, it } from 'vitest';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import { encodeDistinguishedName } from './der/distinguished-name.js';
import { OID } from './der/object-identifier.js';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeExtendedKeyUsages,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
  encodeX509Extension,
} from './der/x509-extension.js';
import { generatePrivateKey } from './generate-key.js';
import { lintSigningCertificate, type SigningCertificateExpectation } from './lint-signing-certificate.js';
import { exportSpki } from './private-key-encoding.js';
import { encodeTbsCertificate, type TbsCertificateFields } from './sign-certificate.js';
import { signatureAlgorithmFor } from './signature-algorithm.js';
import { parseSubjectPublicKey, subjectKeyIdentifier } from './subject-public-key.js';

const spki = exportSpki(await generatePrivateKey('ec-p256'));
const otherSpki = exportSpki(await generatePrivateKey('ec-p256'));
const keyId = subjectKeyIdentifier(parseSubjectPublicKey(spki, 'key').keyBits);
const issuerKeyId = Buffer.alloc(20, 7);
const name = encodeDistinguishedName({ commonName: 'authority' });
const issuer = encodeDistinguishedName({ commonName: 'issuer' });
const validity = { notBefore: new Date('2030-01-01T00:00:00Z'), notAfter: new Date('2030-01-02T00:00:00Z') };

const expected: SigningCertificateExpectation = {
  trustDomain: parseTrustDomain('example.org'),
  spki,
  issuer,
  issuerKeyId: issuerKeyId.toString('hex'),
  isSelfSigned: false,
  ...validity,
};
const selfSigned = { ...expected, issuer: name, issuerKeyId: undefined, isSelfSigned: true };

const names = (uriNames: readonly string[], dnsNames: readonly string[] = [], isCritical = false): Buffer =>
  encodeSubjectAlternativeNameExtension({ uriNames, dnsNames }, isCritical);

const extensions = {
  keyUsage: encodeKeyUsages(['keyCertSign', 'cRLSign']),
  constraints: encodeBasicConstraints({ isCa: true, pathLength: undefined }),
  subjectKeyId: encodeSubjectKeyIdentifier(keyId),
  authorityKeyId: encodeAuthorityKeyIdentifier(issuerKeyId),
  names: names(['spiffe://example.org']),
};

function tbs(change: Partial<TbsCertificateFields> = {}, other: Partial<typeof extensions> = {}): Buffer {
  return encodeTbsCertificate({
    serialNumber: Buffer.alloc(16, 0x42),
    algorithm: signatureAlgorithmFor('ec-p256'),
    issuer,
    subject: name,
    spki,
    ...validity,
    extensions: Object.values({ ...extensions, ...other }),
    ...change,
  });
}

function without(left: Buffer): Buffer {
  return tbs({ extensions: Object.values(extensions).filter((extension) => extension !== left) });
}

describe('lintSigningCertificate', () => {
  it('passes what X509-SVID asks for, signed by another and by itself', () => {
    lintSigningCertificate(tbs(), expected);
    const itself = { authorityKeyId: encodeAuthorityKeyIdentifier(keyId) };
    lintSigningCertificate(tbs({ issuer: name }, itself), selfSigned);
  });

  const constraints = Buffer.from('30030101ff', 'hex');
  const more = encodeExtendedKeyUsages([OID.serverAuth]);
  it.each([
    ['a SPIFFE ID with a path', tbs({}, { names: names(['spiffe://example.org/ca']) }), 'the URI name'],
    ['another trust domain', tbs({}, { names: names(['spiffe://example.com']) }), 'the URI name'],
    [
      'two URI names',
      tbs({}, { names: names(Array(2).fill('spiffe://example.org') as string[]) }),
      'URI name',
    ],
    ['no SPIFFE ID', without(extensions.names), 'the URI name'],
    ['a DNS name', tbs({}, { names: names(['spiffe://example.org'], ['a']) }), 'DNS names'],
    ['a critical SAN', tbs({}, { names: names(['spiffe://example.org'], [], true) }), 'critical'],
    [
      'CA:FALSE',
      tbs({}, { constraints: encodeBasicConstraints({ isCa: false, pathLength: undefined }) }),
      'not a signing certificate',
    ],
    ['no basic constraints', without(extensions.constraints), 'not a signing certificate'],
    [
      'basic constraints that are not critical',
      tbs({}, { constraints: encodeX509Extension(OID.basicConstraints, false, constraints) }),
      'critical',
    ],
    ['no key usage', without(extensions.keyUsage), 'the key usage'],
    ['no keyCertSign', tbs({}, { keyUsage: encodeKeyUsages(['cRLSign']) }), 'the key usage'],
    [
      'digitalSignature',
      tbs({}, { keyUsage: encodeKeyUsages(['digitalSignature', 'keyCertSign', 'cRLSign']) }),
      'the key usage',
    ],
    [
      'a key usage that is not critical',
      tbs({}, { keyUsage: encodeX509Extension(OID.keyUsage, false, Buffer.from('03020106', 'hex')) }),
      'critical',
    ],
    ['an extension more', tbs({ extensions: [...Object.values(extensions), more] }), 'other extensions'],
    ['no subject key identifier', without(extensions.subjectKeyId), 'the subject key identifier'],
    [
      'the key identifier of another key',
      tbs({}, { subjectKeyId: encodeSubjectKeyIdentifier(issuerKeyId) }),
      'the subject key identifier',
    ],
    ['no authority key identifier', without(extensions.authorityKeyId), 'the authority key identifier'],
    [
      'its own key for the authority',
      tbs({}, { authorityKeyId: encodeAuthorityKeyIdentifier(keyId) }),
      'the authority key identifier',
    ],
    ['another key', tbs({ spki: otherSpki }), 'the subject key identifier'],
    ['another issuer', tbs({ issuer: encodeDistinguishedName({ commonName: 'x' }) }), 'the issuer is not'],
    ['no subject', tbs({ subject: encodeDistinguishedName({}) }), 'the subject is empty'],
    ['the name of its issuer', tbs({ subject: issuer }), 'the subject is the issuer'],
    ['a second more', tbs({ notAfter: new Date('2030-01-02T00:00:01Z') }), 'the validity'],
    ['a second earlier', tbs({ notBefore: new Date('2029-12-31T23:59:59Z') }), 'the validity'],
    ['serial number zero', tbs({ serialNumber: Buffer.alloc(16) }), 'the serial number'],
  ])('refuses to have signed: %s', (_name, bytes, problem) => {
    expect(() => {
      lintSigningCertificate(bytes, expected);
    }).toThrow(problem);
  });

  it('refuses what another is said to sign when it was asked to sign itself', () => {
    expect(() => {
      lintSigningCertificate(tbs(), selfSigned);
    }).toThrow('refusing to sign a signing certificate');
  });

  it('refuses an end before the beginning even when it was asked for', () => {
    const backwards = { notBefore: validity.notAfter, notAfter: validity.notBefore };
    expect(() => {
      lintSigningCertificate(tbs(backwards), { ...expected, ...backwards });
    }).toThrow('ends before it begins');
  });
});
