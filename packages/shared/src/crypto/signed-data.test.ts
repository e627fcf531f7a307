import { randomBytes } from 'node:crypto';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import {
  attribute,
  contentTypeAttribute,
  createTestSignedData,
  createTestSignerInfo,
  digestAttribute,
  PKCS7,
  withoutLengths,
  type TestSignedDataWish,
} from '@bonafide/testing/test-signed-data';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { BonafideError } from '../errors/bonafide-error.js';
import { DER_TAG } from './der/der-tag.js';
import { derElement, derOctetString } from './der/der-writer.js';
import { parseSignedData } from './signed-data.js';
import { isSignerCertificate, verifySignedData } from './verify-signed-data.js';
import { parseX509Certificate, type X509Certificate } from './x509-certificate.js';

const CONTENT = Buffer.from(`{"instanceId" : "i-0123456789abcdef0", "filler": "${'x'.repeat(400)}"}`);

let signer: TestParty;
let stranger: TestParty;
let certificate: X509Certificate;

beforeAll(async () => {
  signer = await createTestParty({ name: 'signer', keyType: 'rsa-2048' });
  stranger = await createTestParty({ name: 'signer', keyType: 'rsa-2048' });
  certificate = parseX509Certificate(signer.certificate);
});

const verify = (bytes: Buffer): Promise<Buffer> => verifySignedData(parseSignedData(bytes), certificate);
const signed = (wish: Partial<TestSignedDataWish> = {}): Buffer =>
  createTestSignedData({ signer, content: CONTENT, ...wish });

describe('a PKCS#7 signature', () => {
  it.each<[string, Partial<TestSignedDataWish>]>([
    ['over its content, as Azure makes it', { digestAlgorithm: PKCS7.sha256WithRsa }],
    ['over attributes, as EC2 makes it', { withAttributes: true, signatureAlgorithm: PKCS7.sha256WithRsa }],
    ['over its content with a plain digest', {}],
  ])('gives its content back when it is %s', async (_, wish) => {
    expect(await verify(signed(wish))).toEqual(CONTENT);
  });

  it('is read without lengths and in pieces, as EC2 writes it', async () => {
    const der = signed({ withAttributes: true });
    const ber = withoutLengths(der, 100);
    expect(ber.subarray(0, 2).toString('hex')).toBe('3080');
    expect(ber.includes(Buffer.from([0x24, 0x80, 0x04, 0x64]))).toBe(true);
    expect(await verify(ber)).toEqual(CONTENT);
  });

  it('carries certificates in any order', () => {
    const certificates = [stranger.certificate, signer.certificate];
    const parsed = parseSignedData(signed({ certificates }));
    expect(parsed.certificates).toEqual(certificates);
    expect(
      parsed.certificates.map((der) => isSignerCertificate(parsed.signer, parseX509Certificate(der))),
    ).toEqual([false, true]);
  });

  it.each<[string, () => Partial<TestSignedDataWish>, RegExp]>([
    ['other content than was signed', () => ({ carried: Buffer.from('{}') }), /signature is wrong/],
    [
      'other content than its attributes say',
      () => ({ withAttributes: true, carried: Buffer.from('{}') }),
      /covers other content/,
    ],
    ['no content', () => ({ carried: null }), /signed content is not in it/],
    [
      'two signers',
      () => ({ moreSigners: [createTestSignerInfo({ signer: stranger, content: CONTENT })] }),
      /signers are more than one/,
    ],
    ['SHA-1', () => ({ digestAlgorithm: PKCS7.sha1 }), /digest algorithm is not SHA-256/],
    [
      'the algorithm of another digest',
      () => ({ signatureAlgorithm: '1.2.840.113549.1.1.13' }),
      /signature algorithm is not RSA/,
    ],
    [
      'unsigned attributes',
      () => ({ unsignedAttributes: digestAttribute(CONTENT) }),
      /has unsigned attributes/,
    ],
    [
      'attributes without a digest',
      () => ({ attributes: [contentTypeAttribute()] }),
      /lack the content type/,
    ],
    [
      'attributes without a type',
      () => ({ attributes: [digestAttribute(CONTENT)] }),
      /lack the content type/,
    ],
    [
      'two digests',
      () => ({
        attributes: [contentTypeAttribute(), digestAttribute(Buffer.from('{}')), digestAttribute(CONTENT)],
      }),
      /have one twice/,
    ],
    [
      'a digest of two values',
      () => ({
        attributes: [
          contentTypeAttribute(),
          attribute(PKCS7.messageDigest, derOctetString(randomBytes(32)), derOctetString(randomBytes(32))),
        ],
      }),
      /digest has trailing bytes/,
    ],
    [
      'attributes of another type of content',
      () => ({ attributes: [contentTypeAttribute(PKCS7.signedData), digestAttribute(CONTENT)] }),
      /signed content type is not data/,
    ],
    [
      'too many certificates',
      () => ({ certificates: Array<Buffer>(9).fill(signer.certificate) }),
      /more than 8/,
    ],
  ])('is refused with %s', async (_, wish, message) => {
    await expect(Promise.resolve().then(() => verify(signed(wish())))).rejects.toThrow(message);
  });

  it('is not of a namesake, nor of a certificate with the same serial number and another key', async () => {
    const parsed = parseSignedData(signed());
    await expect(verifySignedData(parsed, parseX509Certificate(stranger.certificate))).rejects.toThrow(
      /not of the expected certificate/,
    );
    const serialNumber = Buffer.from(certificate.serialNumber, 'hex');
    const twin = await createTestParty({ name: 'signer', keyType: 'rsa-2048', serialNumber });
    await expect(verifySignedData(parsed, parseX509Certificate(twin.certificate))).rejects.toThrow(
      /signature is wrong/,
    );
  });

  it('does not pass off signed attributes as content', async () => {
    const attributes = derElement(DER_TAG.set, contentTypeAttribute(), digestAttribute(CONTENT));
    await expect(verify(signed({ content: attributes }))).rejects.toThrow(/set of attributes/);
  });

  it('is refused when it is large, nested deeply or followed by something', () => {
    expect(() => parseSignedData(Buffer.alloc(70_000, 0x30))).toThrow(/longer than/);
    const deep = Buffer.from('3080'.repeat(1000), 'hex');
    expect(() => parseSignedData(deep)).toThrow(/nested too deeply/);
    expect(() => parseSignedData(Buffer.concat([signed(), Buffer.from([0])]))).toThrow(/trailing/);
    expect(() => parseSignedData(Buffer.concat([withoutLengths(signed()), Buffer.from([0])]))).toThrow(
      /trailing/,
    );
  });

  it('gives back the content or an error of ours, whatever byte is changed', async () => {
    const forms = [
      signed({ withAttributes: true }),
      withoutLengths(signed({ withAttributes: true })),
      signed({ certificates: [signer.certificate] }),
    ];
    await fc.assert(
      fc.asyncProperty(fc.nat(2), fc.nat(), fc.integer({ min: 1, max: 255 }), async (form, place, mask) => {
        const bytes = Buffer.from(forms[form] ?? Buffer.alloc(0));
        const index = place % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ mask;
        const outcome = await Promise.resolve()
          .then(() => verify(bytes))
          .catch((error: unknown) => error);
        if (Buffer.isBuffer(outcome)) expect(outcome).toEqual(CONTENT);
        else expect(outcome).toBeInstanceOf(BonafideError);
      }),
      { numRuns: 1500 },
    );
  });

  it('is nothing that random bytes are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => parseSignedData(Buffer.from(bytes))).toThrow(BonafideError);
        expect(() => parseSignedData(Buffer.concat([Buffer.from([0x30, 0x80]), bytes]))).toThrow(
          BonafideError,
        );
      }),
    );
  });
});
