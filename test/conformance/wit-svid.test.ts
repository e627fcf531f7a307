import { createPublicKey } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { JWS_ALGORITHMS, signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { verifyWitSvid, type VerifiedWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { InProcessServer } from '../integration/server-in-process.js';

const trustDomain = parseTrustDomain('example.org');
const WORKLOAD = 'spiffe://example.org/ns/default/sa/web';

/** What a server mints, and what verifiers of ours believe, held against WIT-SVID.md. */
describe('WIT-SVID', () => {
  const { publicKey, privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
  const holder = makeKeyPair('ec', { namedCurve: 'P-256' });
  let server: InProcessServer;
  let issued: TrustBundle;
  let token: string;
  let header: JsonObject;
  let claims: JsonObject;

  const mint = async (): Promise<string> => {
    const { svid } = await callUnary(server.local('spire.api.server.svid.v1.SVID'), 'MintWITSVID', {
      id: { trustDomain: 'example.org', path: new URL(WORKLOAD).pathname },
      publicKey: exportSpki(holder.publicKey),
      signingAlgorithm: 'ES256',
    });
    return svid?.token ?? '';
  };
  const read = (text: string, part: 0 | 1): JsonObject =>
    JSON.parse(Buffer.from(text.split('.')[part] ?? '', 'base64url').toString()) as JsonObject;

  beforeAll(async () => {
    server = await InProcessServer.start({ config: { server: { jwt_issuer: 'https://oidc.example.org' } } });
    token = await mint();
    header = read(token, 0);
    claims = read(token, 1);
    issued = bundleFromProto(
      await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {}),
    );
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  function verify(text: string, bundle = issued): Promise<VerifiedWitSvid> {
    return verifyWitSvid({ token: text, bundle: () => bundle, now: new Date() });
  }

  /** Signed by another key, which the bundle has beside the server's own. */
  async function verifyChanged(
    changedHeader: JsonObject,
    changedClaims: JsonObject,
  ): Promise<VerifiedWitSvid> {
    const authority = {
      publicKey: exportSpki(publicKey),
      keyId: 'test',
      expiresAt: undefined,
      isTainted: false,
    };
    const text = await encodeCompactJws(
      { alg: 'ES256', kid: 'test', typ: 'wit+jwt', ...changedHeader },
      { ...claims, ...changedClaims },
      (signingInput) => signJwsAs('ES256', privateKey, signingInput),
    );
    return verify(text, { ...issued, witAuthorities: [...issued.witAuthorities, authority] });
  }

  const confirming = (change: JsonObject): JsonObject => {
    const { jwk } = claims['cnf'] as { readonly jwk: JsonObject };
    return { cnf: { jwk: { ...jwk, ...change } } };
  };

  it('section 2.1: kid is set, and a token without it is refused', async () => {
    expect(issued.witAuthorities.map(({ keyId }) => keyId)).toContain(header['kid']);
    await expect(verifyChanged({ kid: undefined }, {})).rejects.toThrow('no key ID');
  });

  it('section 2.1: kid is compared to the letter', async () => {
    await expect(verifyChanged({ kid: 'TEST' }, {})).rejects.toThrow('has no ES256 key');
  });

  it('section 2.1: no two keys of the trust domain have one kid, whatever they sign', () => {
    const keyIds = [...issued.jwtAuthorities, ...issued.witAuthorities].map(({ keyId }) => keyId);
    expect(new Set(keyIds).size).toBe(keyIds.length);
  });

  it('section 2.2: typ is wit+jwt, and any other is refused', async () => {
    expect(header['typ']).toBe('wit+jwt');
    for (const typ of [undefined, 'JWT', 'JOSE', 'WIT+JWT', 'application/wit+jwt']) {
      await expect(verifyChanged({ typ }, {})).rejects.toThrow('is not wit+jwt');
    }
  });

  it('section 2.3: alg is one of nine, and any other is refused', async () => {
    expect(JWS_ALGORITHMS).toContain(header['alg']);
    for (const alg of ['none', 'HS256', 'EdDSA', undefined]) {
      await expect(verifyChanged({ alg }, {})).rejects.toThrow('algorithm');
    }
  });

  it('section 2.4: the header has nothing more; of others, what is unknown is passed over and what is critical refused', async () => {
    expect(Object.keys(header).sort()).toEqual(['alg', 'kid', 'typ']);
    await verifyChanged({ x: 1 }, {});
    await expect(verifyChanged({ crit: ['x'], x: 1 }, {})).rejects.toThrow('critical');
  });

  it('section 3.1: sub is the SPIFFE ID of the workload, and must be there', async () => {
    expect((await verify(token)).spiffeId).toBe(WORKLOAD);
    for (const sub of [undefined, 'web', 7]) await expect(verifyChanged({}, { sub })).rejects.toThrow();
  });

  it('section 3.2: cnf has the key that the workload asked to be bound, and must be there', async () => {
    const { jwk } = claims['cnf'] as { readonly jwk: JsonObject };
    expect(createPublicKey({ key: { ...jwk }, format: 'jwk' }).equals(holder.publicKey)).toBe(true);
    expect((await verify(token)).confirmationKey.equals(holder.publicKey)).toBe(true);
    for (const cnf of [undefined, {}, { kid: 'a' }]) {
      await expect(verifyChanged({}, { cnf })).rejects.toThrow('confirms no key');
    }
  });

  it('section 3.2: cnf.jwk.alg is one of nine, and any other is refused', async () => {
    expect((claims['cnf'] as { readonly jwk: JsonObject }).jwk['alg']).toBe('ES256');
    for (const alg of [undefined, 'none', 'HS256', 'EdDSA']) {
      await expect(verifyChanged({}, confirming({ alg }))).rejects.toThrow('algorithm');
    }
  });

  it('section 3.2: cnf has one public key (RFC 7800 section 3), and never a secret', async () => {
    const both = { cnf: { ...(claims['cnf'] as JsonObject), jwe: 'a' } };
    await expect(verifyChanged({}, both)).rejects.toThrow('more than one key');
    await expect(verifyChanged({}, confirming({ d: 'AAAA' }))).rejects.toThrow('private key');
  });

  it('section 3.3: each token has a jti of its own', async () => {
    expect(claims['jti']).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(read(await mint(), 1)['jti']).not.toBe(claims['jti']);
  });

  it('section 3.3: jti guards against no replay: a token is believed as often as it is shown', async () => {
    await verify(token);
    await verify(token);
  });

  it('section 3.4: exp is set; a token without it, or past it, is refused', async () => {
    expect(claims['exp']).toBeGreaterThan(Date.now() / 1000);
    await expect(verifyChanged({}, { exp: undefined })).rejects.toThrow('no expiry');
    await expect(verifyChanged({}, { exp: Math.floor(Date.now() / 1000) - 61 })).rejects.toThrow('expired');
  });

  it('section 3.5: a token whose nbf is to come is refused', async () => {
    await expect(verifyChanged({}, { nbf: Math.floor(Date.now() / 1000) + 120 })).rejects.toThrow('before');
  });

  it('section 3.6: iat does not limit when a token is valid', async () => {
    await verifyChanged({}, { iat: Math.floor(Date.now() / 1000) + 3600 });
  });

  it('section 3.7: there is no iss that could make it pass for an ID token, though the server has an issuer', () => {
    expect(claims).not.toHaveProperty('iss');
  });

  it('section 3.8: there is no aud, and a token with one is refused', async () => {
    expect(claims).not.toHaveProperty('aud');
    for (const aud of ['a', [], null]) {
      await expect(verifyChanged({}, { aud })).rejects.toThrow('has an audience');
    }
  });

  it('section 3.8: claims that the standard does not name are passed over', async () => {
    expect((await verifyChanged({}, { color: 'red' })).claims['color']).toBe('red');
  });

  it('section 4: the signature is verified', async () => {
    expect((await verify(token)).keyId).toBe(header['kid']);
    const [first, , third] = token.split('.');
    const admin = Buffer.from(JSON.stringify({ ...claims, sub: 'spiffe://example.org/admin' }));
    await expect(verify(`${first}.${admin.toString('base64url')}.${third}`)).rejects.toThrow('signature');
  });

  it('section 6.1: each signing key is an entry of the bundle with use wit-svid and a kid', () => {
    const { keys } = JSON.parse(formatBundleDocument(issued)) as { readonly keys: readonly JsonObject[] };
    const entries = keys.filter(({ use }) => use === 'wit-svid');
    expect(entries.map(({ kid }) => kid)).toEqual(issued.witAuthorities.map(({ keyId }) => keyId));
    expect(entries.length).toBeGreaterThan(0);
  });

  it('section 6.1: a bundle that names two keys alike is refused', () => {
    const [jwt] = issued.jwtAuthorities;
    const [wit] = issued.witAuthorities;
    if (jwt === undefined || wit === undefined) throw new Error('no authorities');
    const alike = { ...issued, witAuthorities: [{ ...wit, keyId: jwt.keyId }] };
    expect(() => parseBundleDocument(trustDomain, formatBundleDocument(alike))).toThrow('twice');
  });

  it('section 6.2: keys of another use verify no WIT-SVID', async () => {
    const text = formatBundleDocument(issued).replaceAll('"wit-svid"', '"x-svid"');
    await expect(verify(token, parseBundleDocument(trustDomain, text))).rejects.toThrow('has no ES256 key');
  });

  it('section 7.1: it is not taken for a JWT-SVID, even under a key that signs those', async () => {
    const bundle = { ...issued, jwtAuthorities: issued.witAuthorities };
    const verified = verifyJwtSvid({ token, audience: 'a', bundle: () => bundle, now: new Date() });
    await expect(verified).rejects.toThrow('neither JWT nor JOSE');
  });
});
