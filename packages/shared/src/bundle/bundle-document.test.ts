import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generatePrivateKey } from '../crypto/generate-key.js';
import { exportSpki } from '../crypto/private-key-encoding.js';
import { createSelfSignedAuthority } from '../crypto/self-signed-authority.js';
import { parseX509Certificate } from '../crypto/x509-certificate.js';
import { createKeySigner } from '../crypto/signer.js';
import { BonafideError } from '../errors/bonafide-error.js';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import { formatBundleDocument, parseBundleDocument } from './bundle-document.js';
import { formatBundlePem, parseBundlePem } from './bundle-pem.js';
import type { TokenAuthority, TrustBundle } from './trust-bundle.js';

const trustDomain = parseTrustDomain('example.org');

async function authority(keyType: 'ec-p256' | 'rsa-2048' = 'ec-p256'): Promise<Buffer> {
  const signer = createKeySigner(await generatePrivateKey(keyType));
  return createSelfSignedAuthority({
    trustDomain,
    signer,
    notBefore: new Date(0),
    notAfter: new Date('2050-01-01'),
  });
}

function tokenAuthority(keyId: string, namedCurve: string): TokenAuthority {
  const { publicKey } = makeKeyPair('ec', { namedCurve });
  return { publicKey: exportSpki(publicKey), keyId, expiresAt: undefined, isTainted: false };
}

const bundle: TrustBundle = {
  trustDomain,
  x509Authorities: [
    { certificate: await authority(), isTainted: false },
    { certificate: await authority('rsa-2048'), isTainted: false },
  ],
  jwtAuthorities: [tokenAuthority('first', 'P-256'), tokenAuthority('second', 'P-521')],
  witAuthorities: [tokenAuthority('third', 'P-384')],
  refreshHintSeconds: 300,
  sequenceNumber: 42,
};

describe('a bundle document', () => {
  it('says what the bundle says, and back', () => {
    expect(parseBundleDocument(trustDomain, formatBundleDocument(bundle))).toEqual(bundle);
  });

  it('is laid out as the standard asks', () => {
    const document = JSON.parse(formatBundleDocument(bundle)) as {
      readonly keys: readonly Record<string, unknown>[];
    };
    expect(document).toMatchObject({ spiffe_sequence: 42, spiffe_refresh_hint: 300 });
    expect(document.keys.map((key) => [key['use'], key['kty'], key['kid']])).toEqual([
      ['x509-svid', 'EC', undefined],
      ['x509-svid', 'RSA', undefined],
      ['jwt-svid', 'EC', 'first'],
      ['jwt-svid', 'EC', 'second'],
      ['wit-svid', 'EC', 'third'],
    ]);
    expect(document.keys[0]?.['x5c']).toEqual([bundle.x509Authorities[0]?.certificate.toString('base64')]);
  });

  it('may be empty, which revokes everything', () => {
    expect(parseBundleDocument(trustDomain, '{"keys": []}')).toMatchObject({
      x509Authorities: [],
      sequenceNumber: 0,
      refreshHintSeconds: undefined,
    });
  });

  const x5c = bundle.x509Authorities.map(({ certificate }) => certificate.toString('base64'));
  it.each([
    ['of unknown use', { use: 'sig', kty: 'EC' }],
    ['without use', { kty: 'EC', x5c }],
    ['of unknown type', { use: 'x509-svid', kty: 'OKP', x5c: ['AAAA'] }],
    ['without x5c', { use: 'x509-svid', kty: 'EC' }],
    ['with an empty x5c', { use: 'x509-svid', kty: 'EC', x5c: [] }],
    ['on an unknown curve', { use: 'jwt-svid', kty: 'EC', crv: 'secp256k1', kid: 'a' }],
  ])('may hold a key %s, which is ignored', (_name, key) => {
    const parsed = parseBundleDocument(trustDomain, JSON.stringify({ keys: [key] }));
    expect([...parsed.x509Authorities, ...parsed.jwtAuthorities, ...parsed.witAuthorities]).toEqual([]);
  });

  it('counts only the first certificate of x5c, and each certificate once', () => {
    const keys = [0, 1].map(() => ({ use: 'x509-svid', kty: 'EC', x5c }));
    const parsed = parseBundleDocument(trustDomain, JSON.stringify({ keys }));
    expect(parsed.x509Authorities).toEqual([bundle.x509Authorities[0]]);
  });

  const offCurve = Buffer.from(bundle.x509Authorities[0]?.certificate ?? []);
  const { keyBits } = parseX509Certificate(offCurve).subjectPublicKey;
  const lastByte = offCurve.indexOf(keyBits) + 64;
  offCurve.writeUInt8(offCurve.readUInt8(lastByte) ^ 1, lastByte);
  const jwt = { use: 'jwt-svid', kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'a' };
  it.each([
    ['no JSON', 'hello', 'is not JSON'],
    ['an array', '[]', 'is not a JSON object'],
    ['no keys', '{}', 'no "keys" array'],
    ['keys that are null', '{"keys": null}', 'no "keys" array'],
    ['a key that is text', '{"keys": ["a"]}', 'key 0 of the bundle document is not an object'],
    [
      'x5c that is not base64',
      JSON.stringify({ keys: [{ use: 'x509-svid', kty: 'EC', x5c: ['?'] }] }),
      'key 0 of the bundle document: "x5c" is not base64',
    ],
    [
      'x5c that is no certificate',
      JSON.stringify({ keys: [{ use: 'x509-svid', kty: 'EC', x5c: ['AAAA'] }] }),
      'malformed certificate',
    ],
    [
      'x5c whose key is not on its curve',
      JSON.stringify({ keys: [{ use: 'x509-svid', kty: 'EC', x5c: [offCurve.toString('base64')] }] }),
      'not a point of its curve',
    ],
    ['a name twice', '{"keys": [], "keys": []}', 'has "keys" twice'],
    [
      'x5c that is a number',
      JSON.stringify({ keys: [{ use: 'x509-svid', kty: 'EC', x5c: [1] }] }),
      'does not hold text',
    ],
    ['a JWT key without kid', JSON.stringify({ keys: [bundleKey({ kid: undefined })] }), 'no usable "kid"'],
    [
      'a key ID that is there twice',
      JSON.stringify({ keys: [bundleKey({}), bundleKey({ use: 'wit-svid' })] }),
      'twice',
    ],
    ['a point that is not on its curve', JSON.stringify({ keys: [jwt] }), 'malformed'],
    ['a negative hint', '{"keys": [], "spiffe_refresh_hint": -1}', 'is not a whole number'],
    ['a sequence number that is text', '{"keys": [], "spiffe_sequence": "1"}', 'is not a whole number'],
    [
      'a sequence number beyond 2^53',
      '{"keys": [], "spiffe_sequence": 9007199254740993}',
      'is not a whole number',
    ],
  ])('is refused with %s', (_name, text, problem) => {
    expect(() => parseBundleDocument(trustDomain, text)).toThrow(problem);
  });

  function bundleKey(change: Record<string, unknown>): Record<string, unknown> {
    const { keys } = JSON.parse(formatBundleDocument(bundle)) as {
      readonly keys: readonly Record<string, unknown>[];
    };
    return { ...keys[2], ...change };
  }

  it('throws nothing but BonafideError, whatever the JSON', () => {
    const key = fc.record(
      {
        use: fc.constantFrom('x509-svid', 'jwt-svid', 'wit-svid', 7),
        kty: fc.constantFrom('EC', 'RSA', 'oct', undefined),
        crv: fc.constantFrom('P-256', 'x'),
        kid: fc.oneof(fc.string(), fc.constant(undefined)),
        x5c: fc.oneof(fc.array(fc.oneof(fc.base64String(), fc.jsonValue())), fc.jsonValue()),
        x: fc.oneof(fc.base64String(), fc.jsonValue()),
        y: fc.base64String(),
        n: fc.base64String(),
        e: fc.base64String(),
      },
      { requiredKeys: ['use'] },
    );
    fc.assert(
      fc.property(
        fc.oneof(fc.record({ keys: fc.array(fc.oneof(key, fc.jsonValue())) }), fc.jsonValue()),
        (document) => {
          try {
            parseBundleDocument(trustDomain, JSON.stringify(document));
          } catch (error) {
            expect(error).toBeInstanceOf(BonafideError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('a bundle as PEM', () => {
  it('keeps the X.509 authorities', () => {
    const parsed = parseBundlePem(trustDomain, formatBundlePem(bundle));
    expect(parsed.x509Authorities).toEqual(bundle.x509Authorities);
  });

  it('is refused when it holds something else', () => {
    expect(() => parseBundlePem(trustDomain, '')).toThrow('no PEM block');
    const text = formatBundlePem(bundle).replace('MII', 'AAA');
    expect(() => parseBundlePem(trustDomain, text)).toThrow('malformed certificate');
  });
});
