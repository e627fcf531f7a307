import 'reflect-metadata';
import { X509Certificate as NodeCertificate, createPublicKey } from 'node:crypto';
import * as peculiar from '@peculiar/x509';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import { encodeDistinguishedName, formatDistinguishedName } from './der/distinguished-name.js';
import { generatePrivateKey } from './generate-key.js';
import { createSelfSignedAuthority } from './self-signed-authority.js';
import { generateSerialNumber, signCertificate, type TbsCertificateFields } from './sign-certificate.js';
import { createKeySigner, type Signer } from './signer.js';
import { OID } from './der/object-identifier.js';
import { exportSpki } from './private-key-encoding.js';
import { derOctetString } from './der/der-writer.js';
import {
  encodeBasicConstraints,
  encodeExtendedKeyUsages,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
  encodeX509Extension,
  KEY_USAGES,
} from './der/x509-extension.js';
import { parseX509Certificate } from './x509-certificate.js';

const notBefore = new Date('2030-01-01T00:00:00Z');
const notAfter = new Date('2030-01-02T00:00:00Z');
let signer: Signer;
let fields: Omit<TbsCertificateFields, 'algorithm'>;
let certificate: Buffer;

beforeAll(async () => {
  signer = createKeySigner(await generatePrivateKey('ec-p256'));
  fields = {
    serialNumber: generateSerialNumber(),
    issuer: encodeDistinguishedName({ country: ['US'], organization: ['An issuer, with a comma'] }),
    subject: encodeDistinguishedName({ commonName: 'Zoë', organizationalUnit: ['a', 'b'] }),
    spki: exportSpki(signer.publicKey),
    notBefore,
    notAfter,
    extensions: [
      encodeKeyUsages(['digitalSignature', 'keyAgreement']),
      encodeExtendedKeyUsages([OID.serverAuth, OID.clientAuth]),
      encodeBasicConstraints({ isCa: false, pathLength: undefined }),
      encodeSubjectKeyIdentifier(Buffer.from('0123', 'hex')),
      encodeSubjectAlternativeNameExtension(
        { uriNames: ['spiffe://example.org/a'], dnsNames: ['a.example.org'] },
        false,
      ),
    ],
  };
  certificate = await signCertificate(fields, signer);
});

describe('parseX509Certificate', () => {
  it('reads every field as it was written', () => {
    const parsed = parseX509Certificate(certificate);
    expect(parsed).toMatchObject({
      serialNumber: fields.serialNumber.toString('hex'),
      notBefore,
      notAfter,
      uriNames: ['spiffe://example.org/a'],
      dnsNames: ['a.example.org'],
      spiffeId: 'spiffe://example.org/a',
      isCa: false,
      pathLength: undefined,
      keyUsages: new Set(['digitalSignature', 'keyAgreement']),
      extendedKeyUsages: new Set([OID.serverAuth, OID.clientAuth]),
      subjectKeyId: '0123',
      authorityKeyId: undefined,
    });
    expect(parsed.publicKey.equals(signer.publicKey)).toBe(true);
    expect(formatDistinguishedName(parsed.issuer)).toBe('C=US,O=An issuer\\, with a comma');
    expect(formatDistinguishedName(parsed.subject)).toBe('OU=a,OU=b,CN=Zoë');
  });

  it('agrees with Node and with @peculiar/x509', async () => {
    for (const der of [certificate, await authority()]) {
      const ours = parseX509Certificate(der);
      const node = new NodeCertificate(der);
      expect(ours.serialNumber).toBe(node.serialNumber.toLowerCase());
      expect(ours.notBefore).toEqual(new Date(node.validFrom));
      expect(ours.notAfter).toEqual(new Date(node.validTo));
      expect(ours.isCa).toBe(node.ca);
      expect(ours.publicKey.equals(node.publicKey)).toBe(true);
      const oracle = new peculiar.X509Certificate(der);
      expect(ours.serialNumber).toBe(oracle.serialNumber);
      expect(ours.notAfter).toEqual(oracle.notAfter);
      expect(ours.subject).toEqual(Buffer.from(oracle.subjectName.toArrayBuffer()));
      expect(ours.publicKey.equals(createPublicKey(oracle.publicKey.toString('pem')))).toBe(true);
    }
  });

  it('refuses bytes after the certificate, and the certificate cut off at any length (invariant 7)', () => {
    expect(() => parseX509Certificate(Buffer.concat([certificate, Buffer.from([0])]))).toThrow(
      'trailing bytes',
    );
    for (let length = 0; length < certificate.length; length += 1) {
      expect(() => parseX509Certificate(certificate.subarray(0, length))).toThrow(BonafideError);
    }
  });

  it('throws nothing but BonafideError, whatever bytes are changed', () => {
    const position = fc.tuple(fc.nat(certificate.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(position, { minLength: 1, maxLength: 4 }), (changes) => {
        const mutated = Buffer.from(certificate);
        for (const [index, value] of changes) mutated[index] = value;
        try {
          expect(parseX509Certificate(mutated).publicKey.type).toBe('public');
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it.each([
    [
      'the same extension twice',
      () => ({ extensions: [...fields.extensions, encodeKeyUsages(['keyCertSign'])] }),
      'twice',
    ],
    [
      'an empty SAN',
      () => ({ extensions: [encodeSubjectAlternativeNameExtension({ uriNames: [], dnsNames: [] }, false)] }),
      'is empty',
    ],
    [
      'a SAN that is not ASCII',
      () => {
        // The writer refuses to write it, so a byte is changed afterwards.
        const san = encodeSubjectAlternativeNameExtension(
          { uriNames: ['spiffe://?/a'], dnsNames: [] },
          false,
        );
        san[san.indexOf('?')] = 0xe9;
        return { extensions: [san] };
      },
      'non-ASCII',
    ],
    [
      'a URI that is half a SPIFFE ID',
      () => ({
        extensions: [
          encodeSubjectAlternativeNameExtension(
            { uriNames: ['spiffe://example.org//a'], dnsNames: [] },
            false,
          ),
        ],
      }),
      'empty segment',
    ],
    [
      'a path length without being a CA',
      () => ({ extensions: [encodeBasicConstraints({ isCa: false, pathLength: 1 })] }),
      'limit the path of a leaf',
    ],
    [
      'a key usage that is no bit string',
      () => ({
        extensions: [encodeX509Extension(OID.keyUsage, true, derOctetString(Buffer.from([7, 128])))],
      }),
      'key usage',
    ],
    [
      'a key usage with stray bits',
      () => ({
        extensions: [encodeX509Extension(OID.keyUsage, true, Buffer.from('03020081', 'hex').fill(7, 2, 3))],
      }),
      'key usage',
    ],
    ['a serial number of 21 bytes', () => ({ serialNumber: Buffer.alloc(21, 0x7f) }), undefined],
    ['a serial number of 22 bytes', () => ({ serialNumber: Buffer.alloc(22, 0x7f) }), 'serial number'],
  ] satisfies [string, () => Partial<TbsCertificateFields>, string | undefined][])(
    'judges %s',
    async (_name, change, problem) => {
      const der = await signCertificate({ ...fields, ...change() }, signer);
      if (problem === undefined) expect(parseX509Certificate(der).isCa).toBe(false);
      else expect(() => parseX509Certificate(der)).toThrow(problem);
    },
  );

  it('reads any set of key usages that can be written', async () => {
    const sets = fc.uniqueArray(fc.constantFrom(...KEY_USAGES.slice(0, 8)), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(sets, async (usages) => {
        const der = await signCertificate({ ...fields, extensions: [encodeKeyUsages(usages)] }, signer);
        expect(parseX509Certificate(der).keyUsages).toEqual(new Set(usages));
      }),
      { numRuns: 50 },
    );
  });
});

function authority(): Promise<Buffer> {
  return createSelfSignedAuthority({
    trustDomain: parseTrustDomain('example.org'),
    signer,
    notBefore,
    notAfter,
  });
}
