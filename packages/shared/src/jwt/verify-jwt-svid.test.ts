import type { KeyObject } from 'node:crypto';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import type { TokenAuthority, TrustBundle } from '../bundle/trust-bundle.js';
import { JWS_ALGORITHMS, signJwsAs, type JwsAlgorithm } from '../crypto/jws-algorithm.js';
import { BonafideError } from '../errors/bonafide-error.js';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import type { JsonObject } from './unique-json.js';
import { verifyJwtSvid, type JwtSvidVerification, type VerifiedJwtSvid } from './verify-jwt-svid.js';

const trustDomain = parseTrustDomain('example.org');
const now = new Date('2030-01-01T00:00:00Z');
const seconds = now.getTime() / 1000;
const audience = 'spiffe://example.org/reports';

const rsa = makeKeyPair('rsa', { modulusLength: 2048 });
const keys: Readonly<Record<string, { readonly publicKey: KeyObject; readonly privateKey: KeyObject }>> = {
  ES256: makeKeyPair('ec', { namedCurve: 'P-256' }),
  ES384: makeKeyPair('ec', { namedCurve: 'P-384' }),
  ES512: makeKeyPair('ec', { namedCurve: 'P-521' }),
  ...{ RS256: rsa, RS384: rsa, RS512: rsa, PS256: rsa, PS384: rsa, PS512: rsa },
};
const wit = makeKeyPair('ec', { namedCurve: 'P-256' });
const weak = makeKeyPair('rsa', { modulusLength: 1024 });
const old = makeKeyPair('ec', { namedCurve: 'P-256' });
const foreign = makeKeyPair('ec', { namedCurve: 'P-256' });

function authority(keyId: string, publicKey: KeyObject | Buffer | undefined): TokenAuthority {
  const spki = Buffer.isBuffer(publicKey) ? publicKey : publicKey?.export({ format: 'der', type: 'spki' });
  return { publicKey: spki ?? Buffer.alloc(0), keyId, expiresAt: undefined, isTainted: false };
}

const bundle: TrustBundle = {
  trustDomain,
  x509Authorities: [],
  jwtAuthorities: [
    authority('ec', keys['ES256']?.publicKey),
    authority('ec384', keys['ES384']?.publicKey),
    authority('ec521', keys['ES512']?.publicKey),
    authority('rsa', rsa.publicKey),
    authority('weak', weak.publicKey),
    authority('ed25519', makeKeyPair('ed25519').publicKey),
    authority('rubbish', Buffer.from('rubbish')),
    authority('empty', Buffer.alloc(0)),
    { ...authority('old', old.publicKey), expiresAt: new Date(now.getTime() - 60_000) },
  ],
  witAuthorities: [authority('wit', wit.publicKey)],
  refreshHintSeconds: undefined,
  sequenceNumber: 1,
};

const header: JsonObject = { alg: 'ES256', kid: 'ec', typ: 'JWT' };
const claims: JsonObject = {
  sub: 'spiffe://example.org/web',
  aud: [audience],
  exp: seconds + 300,
  iat: seconds,
};

interface Token {
  readonly header?: JsonObject;
  readonly claims?: JsonObject;
  /** Instead of them, text. */
  readonly headerText?: string;
  readonly claimsText?: string;
  readonly algorithm?: JwsAlgorithm;
  readonly key?: KeyObject | undefined;
}

async function sign(token: Token): Promise<string> {
  const headerText = token.headerText ?? JSON.stringify(token.header ?? header);
  const claimsText = token.claimsText ?? JSON.stringify(token.claims ?? claims);
  const signingInput = [headerText, claimsText]
    .map((text) => Buffer.from(text).toString('base64url'))
    .join('.');
  const algorithm = token.algorithm ?? 'ES256';
  const key = token.key ?? keys[algorithm]?.privateKey;
  if (key === undefined) throw new Error(`no key for ${algorithm}`);
  const signature = await signJwsAs(algorithm, key, Buffer.from(signingInput));
  return `${signingInput}.${signature.toString('base64url')}`;
}

function verify(token: string, change: Partial<JwtSvidVerification> = {}): Promise<VerifiedJwtSvid> {
  const bundles = new Map([[trustDomain, bundle]]);
  return verifyJwtSvid({ token, audience, bundle: (name) => bundles.get(name), now, ...change });
}

/** The claims as text, with one of them in another spelling. */
function claimsWith(name: string, spelling: string): string {
  const others = Object.entries(claims).filter(([other]) => other !== name);
  return `${JSON.stringify(Object.fromEntries(others)).slice(0, -1)},"${name}":${spelling}}`;
}

describe('verifyJwtSvid', () => {
  it('says what a token says', async () => {
    expect(await verify(await sign({ claims: { ...claims, extra: { a: 1 } } }))).toEqual({
      spiffeId: 'spiffe://example.org/web',
      audience: [audience],
      issuedAt: now,
      expiresAt: new Date((seconds + 300) * 1000),
      keyId: 'ec',
      claims: { ...claims, extra: { a: 1 } },
    });
  });

  it.each(JWS_ALGORITHMS)('believes what jose signs with %s', async (algorithm) => {
    const kid = { ES256: 'ec', ES384: 'ec384', ES512: 'ec521' }[algorithm as string] ?? 'rsa';
    const token = new SignJWT({ sub: 'spiffe://example.org/web' })
      .setProtectedHeader({ alg: algorithm, kid })
      .setAudience(audience)
      .setExpirationTime(seconds + 60);
    const key = keys[algorithm]?.privateKey;
    if (key === undefined) throw new Error('no key');
    expect(await verify(await token.sign(key))).toMatchObject({ keyId: kid, issuedAt: undefined });
  });

  it.each<[string, Token]>([
    ['the type JOSE', { header: { ...header, typ: 'JOSE' } }],
    ['no type', { header: { alg: 'ES256', kid: 'ec' } }],
    ['no key ID, the keys being tried', { header: { alg: 'ES256', typ: 'JWT' } }],
    ['an audience that is text', { claims: { ...claims, aud: audience } }],
    ['another audience beside', { claims: { ...claims, aud: ['other', audience] } }],
    ['the most audiences', { claims: { ...claims, aud: [...Array<string>(99).fill('other'), audience] } }],
    ['parts of a second', { claims: { ...claims, exp: seconds + 0.5, nbf: seconds - 0.5 } }],
    ['an expiry in another spelling', { claimsText: claimsWith('exp', '4E9') }],
    ['no time of issue', { claims: { sub: claims['sub'], aud: claims['aud'], exp: claims['exp'] } }],
    ['a time of issue to come, which limits nothing', { claims: { ...claims, iat: seconds + 3600 } }],
    ['claims that nobody knows', { claims: { ...claims, jti: 'a', iss: 7, cnf: null } }],
    ['spaces in its JSON', { claimsText: JSON.stringify(claims, undefined, 4) }],
  ])('believes a token with %s', async (_name, token) => {
    expect((await verify(await sign(token))).spiffeId).toBe('spiffe://example.org/web');
  });

  const escapedTwice = `${JSON.stringify(claims).slice(0, -1)},"\\u0073ub":"spiffe://example.org/admin"}`;
  it.each<[string, Token, string]>([
    ['no algorithm', { header: { kid: 'ec', typ: 'JWT' } }, 'algorithm undefined'],
    ['the algorithm none', { header: { ...header, alg: 'none' } }, 'algorithm "none"'],
    ['the algorithm None', { header: { ...header, alg: 'None' } }, 'algorithm "None"'],
    ['HMAC', { header: { ...header, alg: 'HS256' } }, 'algorithm "HS256"'],
    ['an algorithm in small letters', { header: { ...header, alg: 'es256' } }, 'algorithm "es256"'],
    ['EdDSA', { header: { ...header, alg: 'EdDSA' } }, 'algorithm "EdDSA"'],
    ['algorithms', { header: { ...header, alg: ['ES256'] } }, 'algorithm ["ES256"]'],
    ['algorithm null', { header: { ...header, alg: null } }, 'algorithm null'],
    ['the type of a WIT-SVID', { header: { ...header, typ: 'wit+jwt' } }, 'type "wit+jwt"'],
    ['a type in small letters', { header: { ...header, typ: 'jwt' } }, 'type "jwt"'],
    ['an empty type', { header: { ...header, typ: '' } }, 'type ""'],
    ['type null', { header: { ...header, typ: null } }, 'type null'],
    ['a type too long to quote', { header: { ...header, typ: 'x'.repeat(9999) } }, 'neither JWT nor JOSE'],
    ['critical extensions', { header: { ...header, crit: ['b64'], b64: false } }, 'critical'],
    ['an empty list of them', { header: { ...header, crit: [] } }, 'critical'],
    ['critical null', { header: { ...header, crit: null } }, 'critical'],
    ['an unencoded payload', { header: { ...header, b64: false } }, '"b64"'],
    ['a key of its own', { header: { ...header, jwk: wit.publicKey.export({ format: 'jwk' }) } }, '"jwk"'],
    ['the address of a key', { header: { ...header, jku: 'https://example.org/' } }, '"jku"'],
    ['a certificate', { header: { ...header, x5c: [] } }, '"x5c"'],
    ['compression', { header: { ...header, zip: 'DEF' } }, '"zip"'],
    ['a content type', { header: { ...header, cty: 'JWT' } }, '"cty"'],
    ['an empty key ID', { header: { ...header, kid: '' } }, 'key ID'],
    ['a key ID that is a number', { header: { ...header, kid: 1 } }, 'key ID'],
    ['a key ID that is too long', { header: { ...header, kid: 'k'.repeat(1025) } }, 'key ID'],
    ['the algorithm twice', { headerText: '{"alg":"none","alg":"ES256","kid":"ec"}' }, 'has "alg" twice'],
    ['the subject twice, once escaped', { claimsText: escapedTwice }, 'has "sub" twice'],
    ['a name twice deep inside', { claimsText: claimsWith('x', '{"y":[{"z":1,"z":1}]}') }, 'has "z" twice'],
    ['deep nesting', { claimsText: claimsWith('x', '['.repeat(99) + ']'.repeat(99)) }, 'nested too deeply'],
    ['very deep nesting', { claimsText: claimsWith('x', '['.repeat(9999) + ']'.repeat(9999)) }, 'nested too'],
    ['a byte order mark', { claimsText: `\ufeff${JSON.stringify(claims)}` }, 'is not JSON'],
    ['no subject', { claims: { ...claims, sub: undefined } }, 'no subject'],
    ['a subject that is no text', { claims: { ...claims, sub: 7 } }, 'no subject'],
    ['an empty subject', { claims: { ...claims, sub: '' } }, 'SPIFFE ID is empty'],
    ['a subject that is no SPIFFE ID', { claims: { ...claims, sub: 'https://example.org/' } }, 'spiffe://'],
    ['the trust domain for subject', { claims: { ...claims, sub: 'spiffe://example.org' } }, 'no path'],
    ['a subject that climbs', { claims: { ...claims, sub: 'spiffe://example.org/../a' } }, "'..'"],
    ['a subject with a query', { claims: { ...claims, sub: 'spiffe://example.org/a?b' } }, "'?'"],
    ['a subject with a port', { claims: { ...claims, sub: 'spiffe://example.org:1/a' } }, "':'"],
    [
      'a subject that is too long',
      { claims: { ...claims, sub: `spiffe://a/${'a'.repeat(2048)}` } },
      'longer',
    ],
    ['a subject elsewhere', { claims: { ...claims, sub: 'spiffe://example.com/web' } }, 'no bundle is held'],
    ['no audience', { claims: { ...claims, aud: undefined } }, 'no audience'],
    ['audience null', { claims: { ...claims, aud: null } }, 'no audience'],
    ['an empty audience', { claims: { ...claims, aud: '' } }, 'audience is not text'],
    ['no audiences', { claims: { ...claims, aud: [] } }, 'no audience'],
    ['an audience that is an object', { claims: { ...claims, aud: { 0: audience } } }, 'no audience'],
    ['an audience that is no text', { claims: { ...claims, aud: [audience, 7] } }, 'audience is not text'],
    ['audiences in audiences', { claims: { ...claims, aud: [[audience]] } }, 'audience is not text'],
    ['too many audiences', { claims: { ...claims, aud: Array(101).fill(audience) } }, 'more than 100'],
    ['another audience', { claims: { ...claims, aud: ['other'] } }, 'is not for the audience'],
    ['a longer audience', { claims: { ...claims, aud: [`${audience}/`] } }, 'is not for the audience'],
    [
      'an audience in capitals',
      { claims: { ...claims, aud: audience.toUpperCase() } },
      'not for the audience',
    ],
    ['no expiry', { claims: { ...claims, exp: undefined } }, 'no expiry'],
    ['expiry null', { claims: { ...claims, exp: null } }, '"exp" is not a number'],
    ['an expiry that is text', { claims: { ...claims, exp: '4000000000' } }, '"exp" is not a number'],
    ['a negative expiry', { claims: { ...claims, exp: -1 } }, '"exp" is not a number'],
    ['a huge expiry', { claims: { ...claims, exp: 1e300 } }, '"exp" is not a number'],
    ['an infinite expiry', { claimsText: claimsWith('exp', '1e999') }, '"exp" is not a number'],
    ['an expiry in milliseconds', { claims: { ...claims, exp: 4e12 } }, '"exp" is not a number'],
    ['an expiry that is NaN', { claimsText: claimsWith('exp', 'NaN') }, 'is not JSON'],
    ['expiries', { claims: { ...claims, exp: [seconds + 300] } }, '"exp" is not a number'],
    ['a false time of issue', { claims: { ...claims, iat: 'now' } }, '"iat" is not a number'],
    ['a false beginning', { claims: { ...claims, nbf: true } }, '"nbf" is not a number'],
    ['an end in 1970', { claims: { ...claims, exp: 0 } }, 'has expired'],
    ['a beginning in an hour', { claims: { ...claims, nbf: seconds + 3600 } }, 'is not valid before'],
    ['a key that nobody has', { header: { ...header, kid: 'other' } }, 'has no ES256 key "other"'],
    ['a key ID in capitals', { header: { ...header, kid: 'EC' } }, 'has no ES256 key "EC"'],
    ['the ID of another key', { header: { ...header, kid: 'ec384' } }, 'has no ES256 key "ec384"'],
    ['another signer', { key: foreign.privateKey }, 'the signature of the token is wrong'],
    ['another signer and no key ID', { header: { alg: 'ES256' }, key: foreign.privateKey }, 'is wrong'],
    [
      'the key of a WIT-SVID',
      { header: { ...header, kid: 'wit' }, key: wit.privateKey },
      'no ES256 key "wit"',
    ],
    ['the key of a WIT-SVID, unnamed', { header: { alg: 'ES256' }, key: wit.privateKey }, 'is wrong'],
    [
      'an RSA key of 1024 bits',
      { header: { alg: 'RS256', kid: 'weak' }, algorithm: 'RS256' },
      'no RS256 key',
    ],
    ['RSA for a key of ECDSA', { header: { ...header, alg: 'RS256' }, algorithm: 'RS256' }, 'no RS256 key'],
    ['another padding', { header: { alg: 'PS256', kid: 'rsa' }, algorithm: 'RS256' }, 'is wrong'],
    ['a key of Ed25519', { header: { ...header, kid: 'ed25519' } }, 'no ES256 key "ed25519"'],
    ['a key that is rubbish', { header: { ...header, kid: 'rubbish' } }, 'no ES256 key "rubbish"'],
    ['a key that is empty', { header: { ...header, kid: 'empty' } }, 'no ES256 key "empty"'],
    ['a key past its life', { header: { ...header, kid: 'old' }, key: old.privateKey }, 'key that signed'],
  ])('refuses a token with %s', async (_name, token, problem) => {
    const refusal = verify(await sign(token));
    await expect(refusal).rejects.toThrow(problem);
    await expect(refusal).rejects.toBeInstanceOf(BonafideError);
  });

  it('refuses the signature of a public key taken for a secret', async () => {
    const { createHmac } = await import('node:crypto');
    const encode = (part: JsonObject): string => Buffer.from(JSON.stringify(part)).toString('base64url');
    const signingInput = `${encode({ alg: 'HS256', kid: 'ec' })}.${encode(claims)}`;
    for (const format of ['der', 'pem'] as const) {
      const secret = keys['ES256']?.publicKey.export({ format, type: 'spki' } as {
        format: 'pem';
        type: 'spki';
      });
      const mac = createHmac('sha256', secret ?? '')
        .update(signingInput)
        .digest('base64url');
      await expect(verify(`${signingInput}.${mac}`)).rejects.toThrow('algorithm "HS256"');
    }
  });

  it('tells what is no JWT-SVID from one that is not to be believed', async () => {
    await expect(verify('hello')).rejects.toMatchObject({ reason: 'invalid_argument' });
    for (const token of [
      { claims: { ...claims, exp: seconds - 61 } },
      { claims: { ...claims, aud: 'other' } },
      { claims: { ...claims, sub: 'spiffe://example.com/web' } },
      { key: foreign.privateKey },
    ]) {
      await expect(verify(await sign(token))).rejects.toMatchObject({ reason: 'unauthenticated' });
    }
  });

  it('refuses to look for an empty audience', async () => {
    await expect(verify(await sign({}), { audience: '' })).rejects.toThrow('audience to verify for is empty');
  });

  it('never asks for the bundle of another trust domain', async () => {
    const asked: string[] = [];
    const other = { ...claims, sub: 'spiffe://example.com/web' };
    const bundleOf = (name: string): undefined => void asked.push(name);
    await expect(verify(await sign({ claims: other }), { bundle: bundleOf })).rejects.toThrow('no bundle');
    expect(asked).toEqual(['example.com']);
  });

  it('verifies an unnamed key by no more than 32 of a bundle', async () => {
    const many = Array.from({ length: 33 }, (_, index) => authority(`${index}`, keys['ES256']?.publicKey));
    const unnamed = await sign({ header: { alg: 'ES256' } });
    const of = (jwtAuthorities: readonly TokenAuthority[]): Partial<JwtSvidVerification> => ({
      bundle: () => ({ ...bundle, jwtAuthorities }),
    });
    await expect(verify(unnamed, of(many))).rejects.toThrow('must name its key');
    expect((await verify(unnamed, of(many.slice(1)))).keyId).toBe('1');
  });

  it('refuses when a time or the leeway is no number', async () => {
    const token = await sign({ claims: { ...claims, nbf: seconds } });
    await expect(verify(token, { now: new Date(Number.NaN) })).rejects.toThrow('has expired');
    await expect(verify(token, { leewaySeconds: Number.NaN })).rejects.toThrow('has expired');
  });

  // The token lives from `now` for 300 seconds; the verifier's clock is off by so many.
  it.each([
    ['the last moment of leeway', 359.999, 60, undefined],
    ['a moment later', 360, 60, 'has expired'],
    ['ten minutes ahead', 600, 60, 'has expired'],
    ['the first moment of leeway', -60, 60, undefined],
    ['a moment earlier', -60.001, 60, 'is not valid before'],
    ['ten minutes behind', -600, 60, 'is not valid before'],
    ['the end without leeway', 300, 0, 'has expired'],
    ['a moment before it', 299.999, 0, undefined],
    ['ten minutes behind with as much leeway', -600, 600, undefined],
    ['ten minutes ahead with as much leeway', 600, 600, undefined],
  ])('with nbf, at %s', async (_name, offset, leewaySeconds, problem) => {
    const token = await sign({ claims: { ...claims, nbf: seconds } });
    const verified = verify(token, { now: new Date(now.getTime() + offset * 1000), leewaySeconds });
    if (problem === undefined) await expect(verified).resolves.toMatchObject({ keyId: 'ec' });
    else await expect(verified).rejects.toThrow(problem);
  });
});
