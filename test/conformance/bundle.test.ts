import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { InProcessServer } from '../integration/server-in-process.js';

const trustDomain = parseTrustDomain('example.org');

/** A server's own bundle, and what we read of others', held against SPIFFE_Trust_Domain_and_Bundle.md. */
describe('SPIFFE bundle', () => {
  let server: InProcessServer;
  let bundle: TrustBundle;
  let document: JsonObject;
  let keys: readonly JsonObject[];

  const fetchBundle = async (): Promise<TrustBundle> =>
    bundleFromProto(await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {}));
  const parse = (value: JsonObject): TrustBundle => parseBundleDocument(trustDomain, JSON.stringify(value));

  beforeAll(async () => {
    server = await InProcessServer.start();
    bundle = await fetchBundle();
    document = JSON.parse(formatBundleDocument(bundle)) as JsonObject;
    keys = document['keys'] as readonly JsonObject[];
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  it('section 3: a bundle is kept with the name of its trust domain', () => {
    expect(bundle.trustDomain).toBe('example.org');
    expect(parse(document)).toMatchObject({ trustDomain: 'example.org' });
  });

  it('section 4: it is a JWK Set, and says the same after it was written and read', () => {
    expect(Array.isArray(keys)).toBe(true);
    const { sequenceNumber, refreshHintSeconds, x509Authorities } = bundle;
    expect(parse(document)).toMatchObject({ sequenceNumber, refreshHintSeconds, x509Authorities });
  });

  it('section 4.1: parameters that the standard does not name are not needed, and passed over', () => {
    expect(parse({ keys })).toMatchObject({ x509Authorities: bundle.x509Authorities });
    expect(parse({ ...document, x: { y: 1 } })).toEqual(parse(document));
  });

  it('section 4.1.1: the sequence number is a whole number that grows with every change', async () => {
    expect(document['spiffe_sequence']).toBe(bundle.sequenceNumber);
    const certificate = bundle.x509Authorities[0]?.certificate ?? Buffer.alloc(0);
    const other = await InProcessServer.start();
    try {
      const theirs = await callUnary(other.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {});
      await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'AppendBundle', {
        x509Authorities: theirs.x509Authorities.map(({ asn1 }) => ({ asn1 })),
      });
    } finally {
      await other[Symbol.asyncDispose]();
    }
    const changed = await fetchBundle();
    expect(changed.x509Authorities.length).toBe(bundle.x509Authorities.length + 1);
    expect(changed.x509Authorities.map((authority) => authority.certificate)).toContainEqual(certificate);
    expect(changed.sequenceNumber).toBeGreaterThan(bundle.sequenceNumber);
    for (const wrong of [-1, 1.5, '1', null]) {
      expect(() => parse({ keys, spiffe_sequence: wrong })).toThrow('is not a whole number');
    }
  });

  it('section 4.1.2: the refresh hint is a whole number of seconds', () => {
    expect(parse({ keys, spiffe_refresh_hint: 300 }).refreshHintSeconds).toBe(300);
    expect(parse({ keys }).refreshHintSeconds).toBeUndefined();
    for (const wrong of [-1, 1.5, '300', null]) {
      expect(() => parse({ keys, spiffe_refresh_hint: wrong })).toThrow('is not a whole number');
    }
  });

  it('section 4.1.3: keys must be there', () => {
    for (const wrong of [undefined, null, {}, 'keys']) {
      expect(() => parse({ ...document, keys: wrong })).toThrow('no "keys" array');
    }
  });

  it('section 4.1.3: by a bundle without usable keys no SVID is believed', async () => {
    const { certificateChain } = await server.mint('spiffe://example.org/web');
    const { svid } = await callUnary(server.local('spire.api.server.svid.v1.SVID'), 'MintJWTSVID', {
      id: { trustDomain: 'example.org', path: '/web' },
      audience: ['a'],
    });
    const token = svid?.token ?? '';
    const now = new Date();
    const authorities = bundle.x509Authorities.map(({ certificate }) => certificate);
    verifyX509Svid({ chain: certificateChain, authorities, now });
    await verifyJwtSvid({ token, audience: 'a', bundle: () => bundle, now });
    for (const empty of [parse({ keys: [] }), parse({ keys: [{ kty: 'OKP', use: 'jwt-svid', kid: 'a' }] })]) {
      expect(() => verifyX509Svid({ chain: certificateChain, authorities: [], now })).toThrow();
      expect(empty.x509Authorities).toEqual([]);
      await expect(verifyJwtSvid({ token, audience: 'a', bundle: () => empty, now })).rejects.toThrow();
    }
  });

  it('section 4.2: an entry has the parameters that its kind calls for, and no others', () => {
    for (const key of keys) {
      const members = key['kty'] === 'RSA' ? ['e', 'kty', 'n'] : ['crv', 'kty', 'x', 'y'];
      const own = key['use'] === 'x509-svid' ? 'x5c' : 'kid';
      expect(Object.keys(key).sort()).toEqual([...members, 'use', own].sort());
    }
  });

  it('section 4.2.1: kty is set; an entry of another type is ignored', () => {
    expect(keys.every(({ kty }) => kty === 'EC' || kty === 'RSA')).toBe(true);
    for (const kty of ['OKP', 'oct', 'ec', undefined]) {
      expect(parse({ keys: keys.map((key) => ({ ...key, kty })) })).toEqual(parse({ keys: [] }));
    }
  });

  it('section 4.2.2: use is set; an entry of another use, or of none, is ignored', () => {
    expect(keys.map(({ use }) => use)).toEqual(expect.arrayContaining(['x509-svid', 'jwt-svid', 'wit-svid']));
    for (const use of ['sig', 'JWT-SVID', '', null, undefined]) {
      expect(parse({ keys: keys.map((key) => ({ ...key, use })) })).toEqual(parse({ keys: [] }));
    }
  });

  it('section 6.3: a document that says a name twice is refused', () => {
    const text = formatBundleDocument(bundle).replace('"keys"', '"keys": [], "keys"');
    expect(() => parseBundleDocument(trustDomain, text)).toThrow('"keys" twice');
  });

  it('X509-SVID section 6.1: an X.509 authority is an entry with one CA certificate in x5c and without kid', () => {
    const entries = keys.filter(({ use }) => use === 'x509-svid');
    expect(entries.length).toBeGreaterThan(0);
    for (const { kid, x5c } of entries) {
      expect(kid).toBeUndefined();
      const [certificate = '', ...more] = x5c as readonly string[];
      expect(more).toEqual([]);
      const read = new X509Certificate(Buffer.from(certificate, 'base64'));
      expect(read.ca).toBe(true);
      expect(read.verify(read.publicKey)).toBe(true);
    }
  });

  it('X509-SVID section 6.2: without x5c an entry is ignored; of several certificates the first counts', () => {
    const entry = keys.find(({ use }) => use === 'x509-svid') ?? {};
    expect(
      parse({
        keys: [
          { ...entry, x5c: undefined },
          { ...entry, x5c: [] },
        ],
      }).x509Authorities,
    ).toEqual([]);
    const [certificate] = entry['x5c'] as readonly string[];
    const { x509Authorities } = parse({ keys: [{ ...entry, x5c: [certificate, 'rubbish'] }] });
    expect(x509Authorities.map((authority) => authority.certificate.toString('base64'))).toEqual([
      certificate,
    ]);
  });
});
