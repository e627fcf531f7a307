import { beforeAll, describe, expect, it } from 'vitest';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { spkiToJwk } from '@bonafide/shared/crypto/json-web-key';
import { addSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import { lintJwtSvid, type JwtSvidExpectation } from './lint-jwt-svid.js';
import { lintWitSvid, type WitSvidExpectation } from './lint-wit-svid.js';

const spiffeId = parseSpiffeId('spiffe://example.org/web');
const issuedAt = new Date('2030-01-01T00:00:00Z');
const expiresAt = addSeconds(issuedAt, 300);
const iat = unixSeconds(issuedAt);
const exp = unixSeconds(expiresAt);
const tokenId = 'AAAAAAAAAAAAAAAAAAAAAA';

let jwt: JwtSvidExpectation;
let wit: WitSvidExpectation;
let jwk: JsonObject;
let otherJwk: JsonObject;
beforeAll(async () => {
  const keys = new MemoryKeyManager();
  const signer = await keys.generateKey('authority', 'ec-p256');
  const publicKey = exportSpki((await keys.generateKey('holder', 'ec-p256')).publicKey);
  const authority = { keyId: 'one', signer, notAfter: addSeconds(issuedAt, 600) };
  const common = { spiffeId, tokenId, issuedAt, expiresAt, authority };
  jwt = { ...common, audience: ['db', 'api'], issuer: 'https://oidc.example.org' };
  wit = { ...common, publicKey, signingAlgorithm: 'ES256' };
  jwk = { alg: 'ES256', ...spkiToJwk(publicKey) };
  otherJwk = { alg: 'ES256', ...spkiToJwk(exportSpki(signer.publicKey)) };
});

const HEADER = { alg: 'ES256', kid: 'one' };
const jwtClaims = {
  aud: ['db', 'api'],
  exp,
  iat,
  iss: 'https://oidc.example.org',
  jti: tokenId,
  sub: spiffeId,
};
const witClaims = (): JsonObject => ({ cnf: { jwk }, exp, iat, jti: tokenId, sub: spiffeId });

const HEADERS: readonly [string, JsonObject, string][] = [
  ['another algorithm', { alg: 'RS256' }, 'the algorithm is not that of the key'],
  ['no signature', { alg: 'none' }, 'the algorithm is not that of the key'],
  ['another key', { kid: 'two' }, 'the key ID is not that of the authority'],
  ['no key', { kid: undefined }, 'the key ID is not that of the authority'],
  ['another type', { typ: 'JOSE' }, 'the type is not'],
  ['a critical extension', { crit: ['exp'] }, 'other header parameters'],
  ['a key of its own', { jwk: {} }, 'other header parameters'],
];
const CLAIMS: readonly [string, JsonObject, string][] = [
  ['another subject', { sub: 'spiffe://example.org/db' }, 'the subject is not'],
  ['two subjects', { sub: [spiffeId] }, 'the subject is not'],
  ['another end', { exp: exp + 1 }, 'does not end when it should'],
  ['an end in text', { exp: String(exp) }, 'does not end when it should'],
  ['no end', { exp: undefined }, 'does not end when it should'],
  ['another beginning', { iat: iat - 1 }, 'not issued when it should be'],
  ['another ID', { jti: 'AAAAAAAAAAAAAAAAAAAAAB' }, 'the token ID is not'],
  ['a claim more', { admin: true }, 'other claims'],
];

describe('the lint of a JWT-SVID', () => {
  it('passes what is right', () => {
    lintJwtSvid({ ...HEADER, typ: 'JWT' }, jwtClaims, jwt);
  });

  it.each(HEADERS)('refuses a header with %s', (_what, change, fault) => {
    const lint = () => {
      lintJwtSvid({ ...HEADER, typ: 'JWT', ...change }, jwtClaims, jwt);
    };
    expect(lint).toThrow(`refusing to sign a JWT-SVID: `);
    expect(lint).toThrow(fault);
  });

  it.each([
    ...CLAIMS,
    ['another audience', { aud: ['db', 'bank'] }, 'the audience is not'],
    ['one audience less', { aud: ['db'] }, 'the audience is not'],
    ['one audience more', { aud: ['db', 'api', 'bank'] }, 'the audience is not'],
    ['an audience that is no list', { aud: 'db' }, 'the audience is not'],
    ['another issuer', { iss: 'https://elsewhere.example' }, 'the issuer is not'],
  ] satisfies typeof CLAIMS)('refuses claims with %s', (_what, change, fault) => {
    expect(() => {
      lintJwtSvid({ ...HEADER, typ: 'JWT' }, { ...jwtClaims, ...change }, jwt);
    }).toThrow(fault);
  });

  it('refuses what its authority will not outlive, and what ends before it begins', () => {
    const late = addSeconds(issuedAt, 601);
    expect(() => {
      lintJwtSvid({ ...HEADER, typ: 'JWT' }, { ...jwtClaims, exp: exp + 301 }, { ...jwt, expiresAt: late });
    }).toThrow('it outlives its authority');
    expect(() => {
      lintJwtSvid({ ...HEADER, typ: 'JWT' }, { ...jwtClaims, exp: iat }, { ...jwt, expiresAt: issuedAt });
    }).toThrow('it ends before it begins');
  });

  it('refuses an expectation without audience', () => {
    expect(() => {
      lintJwtSvid({ ...HEADER, typ: 'JWT' }, { ...jwtClaims, aud: [] }, { ...jwt, audience: [] });
    }).toThrow('no audience');
  });
});

describe('the lint of a WIT-SVID', () => {
  it('passes what is right', () => {
    lintWitSvid({ ...HEADER, typ: 'wit+jwt' }, witClaims(), wit);
  });

  it.each([
    ...HEADERS,
    ['the type of a JWT-SVID', { typ: 'JWT' }, 'the type is not wit+jwt'],
  ] satisfies typeof HEADERS)('refuses a header with %s', (_what, change, fault) => {
    expect(() => {
      lintWitSvid({ ...HEADER, typ: 'wit+jwt', ...change }, witClaims(), wit);
    }).toThrow(fault);
  });

  it.each([
    ...CLAIMS,
    ['an audience', { aud: ['db'] }, 'other claims'],
    ['an issuer', { iss: 'https://oidc.example.org' }, 'other claims'],
    ['no key', { cnf: {} }, 'it confirms no key'],
    ['a key by its name alone', { cnf: { kid: 'one' } }, 'it confirms no key'],
  ] satisfies typeof CLAIMS)('refuses claims with %s', (_what, change, fault) => {
    expect(() => {
      lintWitSvid({ ...HEADER, typ: 'wit+jwt' }, { ...witClaims(), ...change }, wit);
    }).toThrow(fault);
  });

  it.each<[string, () => JsonObject, string]>([
    ['of another', () => otherJwk, 'the key is not that of the request'],
    ['for another algorithm', () => ({ ...jwk, alg: 'ES384' }), 'the algorithm of the key is not'],
    ['for no algorithm', () => ({ ...jwk, alg: undefined }), 'the algorithm of the key is not'],
    ['with its private half', () => ({ ...jwk, d: 'AAAA' }), 'other members'],
    ['of an unknown kind', () => ({ ...jwk, kty: 'OKP' }), 'the key is not that of the request'],
  ])('refuses to confirm a key %s', (_what, key, fault) => {
    expect(() => {
      lintWitSvid({ ...HEADER, typ: 'wit+jwt' }, { ...witClaims(), cnf: { jwk: key() } }, wit);
    }).toThrow(fault);
  });
});
