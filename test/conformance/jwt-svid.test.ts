import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { JWS_ALGORITHMS, signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { verifyJwtSvid, type VerifiedJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { InProcessServer } from '../integration/server-in-process.js';

const trustDomain = parseTrustDomain('example.org');
const WORKLOAD = 'spiffe://example.org/ns/default/sa/web';
const AUDIENCE = 'spiffe://example.org/reports';

/** What a server mints, and what verifiers of ours believe, held against JWT-SVID.md. */
describe('JWT-SVID', () => {
  const { publicKey, privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
  let server: InProcessServer;
  let issued: TrustBundle;
  let token: string;
  let header: JsonObject;
  let claims: JsonObject;

  beforeAll(async () => {
    server = await InProcessServer.start({ config: { server: { jwt_issuer: 'https://oidc.example.org' } } });
    const { svid } = await callUnary(server.local('spire.api.server.svid.v1.SVID'), 'MintJWTSVID', {
      id: { trustDomain: 'example.org', path: new URL(WORKLOAD).pathname },
      audience: [AUDIENCE],
    });
    token = svid?.token ?? '';
    [header, claims] = token
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as JsonObject) as [
      JsonObject,
      JsonObject,
    ];
    issued = bundleFromProto(
      await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {}),
    );
  });

  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  function verify(text: string, audience = AUDIENCE, bundle = issued): Promise<VerifiedJwtSvid> {
    return verifyJwtSvid({ token: text, audience, bundle: () => bundle, now: new Date() });
  }

  /** Signed by another key, which the bundle has beside the server's own. */
  async function verifyChanged(
    changedHeader: JsonObject,
    changedClaims: JsonObject,
  ): Promise<VerifiedJwtSvid> {
    const authority = {
      publicKey: exportSpki(publicKey),
      keyId: 'test',
      expiresAt: undefined,
      isTainted: false,
    };
    const bundle = { ...issued, jwtAuthorities: [...issued.jwtAuthorities, authority] };
    const text = await encodeCompactJws(
      { alg: 'ES256', kid: 'test', typ: 'JWT', ...changedHeader },
      { ...claims, ...changedClaims },
      (signingInput) => signJwsAs('ES256', privateKey, signingInput),
    );
    return verify(text, AUDIENCE, bundle);
  }

  it('section 1: tokens are JWS in compact serialization, and the JSON serialization is refused', async () => {
    expect(token).toMatch(/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/);
    const [protectedHeader, payload, signature] = token.split('.');
    const json = JSON.stringify({ protected: protectedHeader, payload, signature });
    await expect(verify(json)).rejects.toThrow('three parts');
  });

  it('section 2: the header has alg, kid and typ, and a token whose header has more is refused', async () => {
    expect(Object.keys(header).sort()).toEqual(['alg', 'kid', 'typ']);
    await expect(verifyChanged({ jku: 'https://example.org' }, {})).rejects.toThrow('header parameter');
  });

  it('section 2.1: alg is one of nine, and any other is refused', async () => {
    expect(JWS_ALGORITHMS).toHaveLength(9);
    expect(JWS_ALGORITHMS).toContain(header['alg']);
    for (const alg of ['none', 'HS256', 'es256', 'EdDSA', undefined]) {
      await expect(verifyChanged({ alg }, {})).rejects.toThrow('algorithm');
    }
  });

  it('section 2.2: kid is set to the key of the bundle; a token without one is verified by trying the keys', async () => {
    expect(issued.jwtAuthorities.map(({ keyId }) => keyId)).toContain(header['kid']);
    expect((await verifyChanged({ kid: undefined }, {})).keyId).toBe('test');
  });

  it('section 2.3: typ is JWT; JOSE and no typ are accepted, and nothing else', async () => {
    expect(header['typ']).toBe('JWT');
    for (const typ of ['JWT', 'JOSE', undefined]) await verifyChanged({ typ }, {});
    for (const typ of ['jwt', 'wit+jwt', 'at+jwt', '']) {
      await expect(verifyChanged({ typ }, {})).rejects.toThrow('neither JWT nor JOSE');
    }
  });

  it('section 3: claims that the standard does not name are passed over', async () => {
    expect((await verifyChanged({}, { color: 'red' })).claims['color']).toBe('red');
  });

  it('section 3.1: sub is the SPIFFE ID of the workload', async () => {
    expect(claims['sub']).toBe(WORKLOAD);
    expect((await verify(token)).spiffeId).toBe(WORKLOAD);
    for (const sub of ['web', 'https://example.org/web', '', undefined]) {
      await expect(verifyChanged({}, { sub })).rejects.toThrow();
    }
  });

  it('section 3.2: aud is set; a token without it, or for another audience, is refused', async () => {
    expect(claims['aud']).toEqual([AUDIENCE]);
    await expect(verify(token, 'another')).rejects.toThrow('not for the audience');
    for (const aud of [undefined, [], null]) {
      await expect(verifyChanged({}, { aud })).rejects.toThrow('no audience');
    }
  });

  it('section 3.2: a token without an audience is not issued', async () => {
    const client = server.local('spire.api.server.svid.v1.SVID');
    const id = { trustDomain: 'example.org', path: '/web' };
    await expect(callUnary(client, 'MintJWTSVID', { id, audience: [] })).rejects.toThrow('audience');
  });

  it('section 3.3: exp is set, and a token without it is refused', async () => {
    expect(claims['exp']).toBeGreaterThan(Date.now() / 1000);
    await expect(verifyChanged({}, { exp: undefined })).rejects.toThrow('no expiry');
  });

  it('section 4: alg is looked at before anything else is done', async () => {
    await expect(verifyChanged({ alg: 'none' }, { sub: 7, aud: 7, exp: 'x' })).rejects.toThrow('algorithm');
  });

  it('section 4: the signature is verified as RFC 7519 section 7.2 says', async () => {
    expect((await verify(token)).keyId).toBe(header['kid']);
    const [first, , third] = token.split('.');
    const admin = Buffer.from(JSON.stringify({ ...claims, sub: 'spiffe://example.org/admin' }));
    await expect(verify(`${first}.${admin.toString('base64url')}.${third}`)).rejects.toThrow('signature');
    await expect(verifyChanged({ crit: ['exp'] }, {})).rejects.toThrow('critical');
  });

  it('section 4: a token whose exp has passed, or whose nbf has not come, is refused', async () => {
    const seconds = Math.floor(Date.now() / 1000);
    await expect(verifyChanged({}, { exp: seconds - 61 })).rejects.toThrow('has expired');
    await expect(verifyChanged({}, { nbf: seconds + 120 })).rejects.toThrow('is not valid before');
  });

  it('section 6.1: each signing key is an entry of the bundle with use jwt-svid and a kid', () => {
    const { keys } = JSON.parse(formatBundleDocument(issued)) as { readonly keys: readonly JsonObject[] };
    const entries = keys.filter(({ use }) => use === 'jwt-svid');
    expect(entries.map(({ kid }) => kid)).toEqual(issued.jwtAuthorities.map(({ keyId }) => keyId));
    expect(entries.length).toBeGreaterThan(0);
  });

  it('section 6.2: keys of another use verify no JWT-SVID, and without one of its own none is believed', async () => {
    const text = formatBundleDocument(issued).replaceAll('"jwt-svid"', '"x-svid"');
    const other = parseBundleDocument(trustDomain, text);
    await expect(verify(token, AUDIENCE, other)).rejects.toThrow('has no ES256 key');
  });
});
