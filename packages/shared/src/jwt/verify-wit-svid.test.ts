import type { KeyObject } from 'node:crypto';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { exportJWK, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import type { TokenAuthority, TrustBundle } from '../bundle/trust-bundle.js';
import { JWS_ALGORITHMS, type JwsAlgorithm } from '../crypto/jws-algorithm.js';
import { spkiToJwk } from '../crypto/json-web-key.js';
import { exportSpki } from '../crypto/private-key-encoding.js';
import { BonafideError } from '../errors/bonafide-error.js';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import { parseCompactJws } from './compact-jws.js';
import type { JsonObject } from './unique-json.js';
import { parseWitSvid, verifyWitSvid, type VerifiedWitSvid } from './verify-wit-svid.js';

const trustDomain = parseTrustDomain('example.org');
const now = new Date('2030-01-01T00:00:00Z');
const seconds = now.getTime() / 1000;

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const rsa = makeKeyPair('rsa', { modulusLength: 2048 });
const keys: Readonly<Record<JwsAlgorithm, KeyPair>> = {
  ES256: makeKeyPair('ec', { namedCurve: 'P-256' }),
  ES384: makeKeyPair('ec', { namedCurve: 'P-384' }),
  ES512: makeKeyPair('ec', { namedCurve: 'P-521' }),
  ...{ RS256: rsa, RS384: rsa, RS512: rsa, PS256: rsa, PS384: rsa, PS512: rsa },
};
const workload = makeKeyPair('ec', { namedCurve: 'P-256' });
const jwt = makeKeyPair('ec', { namedCurve: 'P-256' });
const old = makeKeyPair('ec', { namedCurve: 'P-256' });

const authority = (keyId: string, { publicKey }: KeyPair): TokenAuthority => ({
  publicKey: exportSpki(publicKey),
  keyId,
  expiresAt: undefined,
  isTainted: false,
});

const bundle: TrustBundle = {
  trustDomain,
  x509Authorities: [],
  jwtAuthorities: [authority('jwt', jwt)],
  witAuthorities: [
    authority('ec', keys.ES256),
    authority('ec384', keys.ES384),
    authority('ec521', keys.ES512),
    authority('rsa', keys.RS256),
    { ...authority('old', old), expiresAt: new Date(now.getTime() - 60_000) },
  ],
  refreshHintSeconds: undefined,
  sequenceNumber: 1,
};

const header = { alg: 'ES256', kid: 'ec', typ: 'wit+jwt' };
const jwk: JsonObject = { ...spkiToJwk(exportSpki(workload.publicKey)), alg: 'ES256' };
const claims: JsonObject = { sub: 'spiffe://example.org/web', exp: seconds + 300, cnf: { jwk } };
const without = (object: JsonObject, name: string): JsonObject =>
  Object.fromEntries(Object.entries(object).filter(([other]) => other !== name));
const confirming = (change: JsonObject): JsonObject => ({ ...claims, cnf: { jwk: { ...jwk, ...change } } });

interface Token {
  readonly header?: JsonObject;
  readonly claims?: JsonObject;
  readonly key?: KeyObject;
}

/** By jose; what it refuses to say in a header is not ours to test here. */
function sign(token: Token): Promise<string> {
  return new SignJWT({ ...(token.claims ?? claims) })
    .setProtectedHeader({ alg: 'ES256', ...(token.header ?? header) })
    .sign(token.key ?? keys.ES256.privateKey);
}

function verify(token: string, at = now): Promise<VerifiedWitSvid> {
  return verifyWitSvid({ token, bundle: (name) => (name === trustDomain ? bundle : undefined), now: at });
}

function jwkOf(pair: KeyPair): JsonObject {
  return pair.publicKey.export({ format: 'jwk' });
}

describe('verifyWitSvid', () => {
  it('says what a token says, and so does reading it from a trusted hand', async () => {
    const token = await sign({});
    const verified = await verify(token);
    expect(verified).toMatchObject({
      spiffeId: 'spiffe://example.org/web',
      issuedAt: undefined,
      expiresAt: new Date((seconds + 300) * 1000),
      keyId: 'ec',
      confirmationAlgorithm: 'ES256',
      claims,
    });
    expect(verified.confirmationKey.equals(workload.publicKey)).toBe(true);
    const read = parseWitSvid(token);
    expect(Object.keys(read).sort()).toEqual(Object.keys(verified).sort());
    expect(read.confirmationKey.equals(workload.publicKey)).toBe(true);
  });

  it.each(JWS_ALGORITHMS)('believes one signed with %s that confirms a key for it', async (alg) => {
    const kid = { ES256: 'ec', ES384: 'ec384', ES512: 'ec521' }[alg as string] ?? 'rsa';
    const confirmed = { ...claims, cnf: { jwk: { ...(await exportJWK(keys[alg].publicKey)), alg } } };
    const token = await sign({
      header: { ...header, alg, kid },
      claims: confirmed,
      key: keys[alg].privateKey,
    });
    expect(await verify(token)).toMatchObject({ keyId: kid, confirmationAlgorithm: alg });
  });

  it.each<[string, Token]>([
    ['header parameters that nobody knows', { header: { ...header, x: 1 } }],
    ['claims that nobody knows', { claims: { ...claims, extra: [1] } }],
    [
      'an ID, a beginning and an issuer',
      { claims: { ...claims, jti: 'a', nbf: seconds, iss: 'spiffe://a' } },
    ],
    ['a time of issue to come', { claims: { ...claims, iat: seconds + 3600 } }],
    ['more about its key', { claims: confirming({ kid: 'a', use: 'sig', key_ops: ['verify'] }) }],
  ])('believes one with %s', async (_name, token) => {
    expect((await verify(await sign(token))).spiffeId).toBe('spiffe://example.org/web');
  });

  it('reads the example of the standard', () => {
    const token = `eyJhbGciOiJFUzI1NiIsImtpZCI6ImxRU2kzaFpGbmRhMkQtWEprajF6bDdmb0pvdWl3STRuckF5aHk0alppSmciLCJ0eXAiOiJ3aXQrand0In0.eyJjbmYiOnsiandrIjp7ImFsZyI6IkVTMjU2IiwiY3J2IjoiUC0yNTYiLCJrdHkiOiJFQyIsIngiOiJyelA3bUxDS0FIV21zTTZYMEV3VklTQ19oSTN1amN1OTVmZlVreWVER0dvIiwieSI6InVPcmZEbGp0WDltM2pZLWhzeWhMSllheHRHa3pEdjVlNWttQ2U1OFo5N2cifX0sImV4cCI6MTc2NTQ1NjUwMywiaWF0IjoxNzY1NDUyOTAzLCJqdGkiOiIxeWoxOVY0TWNPQXpNY0ZpN3F2c2dfQWdDeGxyWTVFX3g1MDl3bEtLUXRjIiwic3ViIjoic3BpZmZlOi8vZXhhbXBsZS5jb20vbXktd29ya2xvYWQifQ.sfhEvZNdY_kWrICF08lX0u__rn39YnTavnW-VPBS20zgowDh6-X43v5eOUKZbjZf06yLBQM-Mry5w1g1QFsCkg`;
    expect(parseWitSvid(token)).toMatchObject({
      spiffeId: 'spiffe://example.com/my-workload',
      keyId: 'lQSi3hZFnda2D-XJkj1zl7foJouiwI4nrAyhy4jZiJg',
    });
  });

  it.each<[string, Token, string]>([
    ['no key ID', { header: without(header, 'kid') }, 'has no key ID'],
    ['an empty key ID', { header: { ...header, kid: '' } }, 'key ID is not text'],
    ['a key ID in capitals', { header: { ...header, kid: 'EC' } }, 'has no ES256 key "EC"'],
    ['the key of a JWT-SVID', { header: { ...header, kid: 'jwt' }, key: jwt.privateKey }, 'key "jwt"'],
    ['a key past its life', { header: { ...header, kid: 'old' }, key: old.privateKey }, 'key that signed'],
    ['another signer', { key: jwt.privateKey }, 'the signature of the token is wrong'],
    ['no type', { header: without(header, 'typ') }, 'type undefined is not wit+jwt'],
    ['the type of a JWT-SVID', { header: { ...header, typ: 'JWT' } }, 'type "JWT"'],
    ['a type in capitals', { header: { ...header, typ: 'WIT+JWT' } }, 'type "WIT+JWT"'],
    ['a media type', { header: { ...header, typ: 'application/wit+jwt' } }, 'is not wit+jwt'],
    ['an audience', { claims: { ...claims, aud: 'a' } }, 'has an audience'],
    ['no audiences at all', { claims: { ...claims, aud: [] } }, 'has an audience'],
    ['audience null', { claims: { ...claims, aud: null } }, 'has an audience'],
    ['no subject', { claims: without(claims, 'sub') }, 'no subject'],
    ['the trust domain for subject', { claims: { ...claims, sub: 'spiffe://example.org' } }, 'no path'],
    ['a subject elsewhere', { claims: { ...claims, sub: 'spiffe://example.com/web' } }, 'no bundle is held'],
    ['no expiry', { claims: without(claims, 'exp') }, 'no expiry'],
    ['an end an hour ago', { claims: { ...claims, exp: seconds - 3600 } }, 'has expired'],
    ['a beginning in an hour', { claims: { ...claims, nbf: seconds + 3600 } }, 'is not valid before'],
    ['no confirmation', { claims: without(claims, 'cnf') }, 'confirms no key'],
    ['confirmation null', { claims: { ...claims, cnf: null } }, 'confirms no key'],
    ['confirmations', { claims: { ...claims, cnf: [{ jwk }] } }, 'confirms no key'],
    ['a confirmed key by name alone', { claims: { ...claims, cnf: { kid: 'a' } } }, 'confirms no key'],
    ['a confirmed key that is text', { claims: { ...claims, cnf: { jwk: 'a' } } }, 'confirms no key'],
    ['a key and an encrypted one', { claims: { ...claims, cnf: { jwk, jwe: 'a' } } }, 'more than one key'],
    ['a key and an address', { claims: { ...claims, cnf: { jwk, jku: 'a' } } }, 'more than one key'],
    ['a confirmed key for nothing', { claims: confirming({ alg: undefined }) }, 'algorithm undefined'],
    ['a confirmed key for none', { claims: confirming({ alg: 'none' }) }, 'algorithm "none"'],
    ['a confirmed key for HMAC', { claims: confirming({ alg: 'HS256' }) }, 'algorithm "HS256"'],
    ['a confirmed key for EdDSA', { claims: confirming({ alg: 'EdDSA' }) }, 'algorithm "EdDSA"'],
    ['a confirmed key of another curve', { claims: confirming({ alg: 'ES384' }) }, 'not one for ES384'],
    ['a confirmed key of another kind', { claims: confirming({ alg: 'RS256' }) }, 'not one for RS256'],
    ['a confirmed key of Ed25519', { claims: confirming({ kty: 'OKP', crv: 'Ed25519' }) }, 'not one for'],
    ['a confirmed key of no curve', { claims: confirming({ x: jwk['y'], y: jwk['x'] }) }, 'are malformed'],
    ['a confirmed key without numbers', { claims: confirming({ x: undefined }) }, '"x" of the key'],
    ['a symmetric key', { claims: confirming({ kty: 'oct', k: 'AAAA' }) }, 'gives its private key away'],
    [
      'its private key',
      { claims: confirming(workload.privateKey.export({ format: 'jwk' })) },
      'gives its private key away',
    ],
    [
      'a weak confirmed key',
      {
        claims: confirming({
          ...jwkOf(makeKeyPair('rsa', { modulusLength: 1024 })),
          alg: 'RS256',
        }),
      },
      'RSA key of 1024 bits',
    ],
    [
      'a confirmed key that anyone could sign for',
      { claims: confirming({ ...jwkOf(rsa), e: 'AQ', alg: 'RS256' }) },
      'exponent',
    ],
  ])('refuses one with %s', async (_name, token, problem) => {
    const refusal = verify(await sign(token));
    await expect(refusal).rejects.toThrow(problem);
    await expect(refusal).rejects.toBeInstanceOf(BonafideError);
  });

  it('refuses critical extensions', async () => {
    const [, payload, signature] = (await sign({})).split('.');
    const critical = Buffer.from(JSON.stringify({ ...header, crit: ['x'], x: 1 })).toString('base64url');
    const token = `${critical}.${payload}.${signature}`;
    expect(parseCompactJws(token).header['crit']).toEqual(['x']);
    await expect(verify(token)).rejects.toThrow('critical');
  });

  it.each([
    ['ten minutes ahead', 600, 'has expired'],
    ['within the leeway after', 359, undefined],
    ['within the leeway before', -59, undefined],
    ['ten minutes behind', -600, 'is not valid before'],
  ])('at %s', async (_name, offset, problem) => {
    const token = await sign({ claims: { ...claims, nbf: seconds } });
    const verified = verify(token, new Date(now.getTime() + offset * 1000));
    if (problem === undefined) await expect(verified).resolves.toMatchObject({ keyId: 'ec' });
    else await expect(verified).rejects.toThrow(problem);
  });
});
