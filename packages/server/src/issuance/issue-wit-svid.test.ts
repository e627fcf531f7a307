import { createPublicKey, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { calculateJwkThumbprint, importJWK, jwtVerify, SignJWT, type JWK } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { JWS_ALGORITHMS, jwsAlgorithmFor, type JwsAlgorithm } from '@bonafide/shared/crypto/jws-algorithm';
import { KEY_TYPES, type KeyType } from '@bonafide/shared/crypto/key-type';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { addSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import type { TokenSigningAuthority } from '../authority/token-signing-authority.js';
import { WitSvidIssuance } from './issue-wit-svid.js';
import type { WitSvidRequest } from './wit-svid-request.js';

const trustDomain = parseTrustDomain('example.org');
const spiffeId = parseSpiffeId('spiffe://example.org/ns/default/sa/web');
const now = new Date('2030-01-01T00:00:00Z');
const clock = new FakeClock(now);

const holders: Readonly<Record<'rsa' | 'P-256' | 'P-384' | 'P-521', KeyObject>> = {
  rsa: makeKeyPair('rsa', { modulusLength: 2048 }).privateKey,
  'P-256': makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey,
  'P-384': makeKeyPair('ec', { namedCurve: 'P-384' }).privateKey,
  'P-521': makeKeyPair('ec', { namedCurve: 'P-521' }).privateKey,
};
const HOLDER_OF = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' } as const;
const holderFor = (algorithm: JwsAlgorithm): KeyObject =>
  holders[
    algorithm === 'ES256' || algorithm === 'ES384' || algorithm === 'ES512' ? HOLDER_OF[algorithm] : 'rsa'
  ];
const publicKey = exportSpki(holders['P-256']);

let authorities: Readonly<Record<KeyType, TokenSigningAuthority>>;
beforeAll(async () => {
  const keys = new MemoryKeyManager();
  const make = async (keyType: KeyType): Promise<TokenSigningAuthority> => {
    const signer = await keys.generateKey(keyType, keyType);
    return { keyId: `of-${keyType}`, signer, notAfter: addSeconds(now, 86_400) };
  };
  const made = await Promise.all(KEY_TYPES.map(async (keyType) => [keyType, await make(keyType)] as const));
  authorities = Object.fromEntries(made) as typeof authorities;
});

function issuanceBy(authority: TokenSigningAuthority): WitSvidIssuance {
  return new WitSvidIssuance({ trustDomain, authorities: { activeWit: () => authority }, clock });
}

function request(change: Partial<WitSvidRequest> = {}): WitSvidRequest {
  return { spiffeId, publicKey, signingAlgorithm: 'ES256', ttlSeconds: 3600, ...change };
}

function bundleOf({ keyId, signer }: TokenSigningAuthority): TrustBundle {
  const authority = {
    keyId,
    publicKey: exportSpki(signer.publicKey),
    expiresAt: undefined,
    isTainted: false,
  };
  return {
    trustDomain,
    x509Authorities: [],
    jwtAuthorities: [authority],
    witAuthorities: [authority],
    refreshHintSeconds: undefined,
    sequenceNumber: 1,
  };
}

describe('an issued WIT-SVID', () => {
  it('has the parameters and claims of WIT-SVID sections 2 and 3, and no others', async () => {
    const { token, tokenId } = await issuanceBy(authorities['ec-p256']).issue(request());
    const { header, payload } = parseCompactJws(token);
    const { kty, crv, x, y } = createPublicKey(holders['P-256']).export({ format: 'jwk' });
    expect(header).toEqual({ alg: 'ES256', kid: 'of-ec-p256', typ: 'wit+jwt' });
    expect(payload).toEqual({
      cnf: { jwk: { alg: 'ES256', kty, crv, x, y } },
      exp: unixSeconds(now) + 3600,
      iat: unixSeconds(now),
      jti: tokenId,
      sub: spiffeId,
    });
  });

  it.each(KEY_TYPES)('verifies for whoever has the bundle, by a key of type %s', async (keyType) => {
    const authority = authorities[keyType];
    const { token, expiresAt } = await issuanceBy(authority).issue(request());
    const verified = await verifyWitSvid({ token, bundle: () => bundleOf(authority), now });
    expect(verified).toMatchObject({ spiffeId, keyId: `of-${keyType}`, expiresAt });
    const { payload } = await jwtVerify(token, authority.signer.publicKey, {
      typ: 'wit+jwt',
      subject: spiffeId,
      currentDate: now,
      algorithms: [jwsAlgorithmFor(keyType)],
      requiredClaims: ['sub', 'exp', 'iat', 'jti', 'cnf'],
    });
    expect(payload.exp).toBe(unixSeconds(expiresAt));
  });

  it.each(JWS_ALGORITHMS)(
    'confirms a key with which its holder proves possession by %s',
    async (algorithm) => {
      const holder = holderFor(algorithm);
      const authority = authorities['ec-p256'];
      const { token } = await issuanceBy(authority).issue(
        request({ publicKey: exportSpki(holder), signingAlgorithm: algorithm }),
      );
      const verified = await verifyWitSvid({ token, bundle: () => bundleOf(authority), now });
      expect(verified.confirmationAlgorithm).toBe(algorithm);
      expect(exportSpki(verified.confirmationKey)).toEqual(exportSpki(holder));
      const { cnf } = verified.claims as { readonly cnf: { readonly jwk: JWK } };
      const proof = await new SignJWT({ nonce: '1' }).setProtectedHeader({ alg: algorithm }).sign(holder);
      await jwtVerify(proof, await importJWK(cnf.jwk));
      expect(await calculateJwkThumbprint(cnf.jwk)).toBe(
        await calculateJwkThumbprint(createPublicKey(holder).export({ format: 'jwk' }) as JWK),
      );
    },
  );

  it('is never taken for a JWT-SVID, by the very same key', async () => {
    const authority = authorities['ec-p256'];
    const { token } = await issuanceBy(authority).issue(request());
    const verification = { token, audience: 'db', bundle: () => bundleOf(authority), now };
    await expect(verifyJwtSvid(verification)).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('lives as long as was asked, within the life of its authority, and has an ID that no other has', async () => {
    const authority = authorities['ec-p256'];
    const issuance = issuanceBy(authority);
    const ids = new Set<string>();
    const ttl = fc.double({ min: 1, max: 2 ** 32, noNaN: true });
    const property = fc.asyncProperty(ttl, async (ttlSeconds) => {
      const { token, tokenId, expiresAt } = await issuance.issue(request({ ttlSeconds }));
      const wantedEnd = addSeconds(now, Math.floor(ttlSeconds));
      expect(expiresAt).toEqual(wantedEnd < authority.notAfter ? wantedEnd : authority.notAfter);
      expect(ids.has(tokenId)).toBe(false);
      ids.add(tokenId);
      const { payload } = await jwtVerify(token, authority.signer.publicKey, { currentDate: now });
      expect(payload).toMatchObject({ jti: tokenId, exp: unixSeconds(expiresAt) });
    });
    await fc.assert(property, { numRuns: 100 });
  });
});

describe('WIT-SVID issuance refuses', () => {
  const spki = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' });
  const generated = {
    weak: spki(makeKeyPair('rsa', { modulusLength: 1024 }).privateKey),
    exponent: spki(makeKeyPair('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey),
    koblitz: spki(makeKeyPair('ec', { namedCurve: 'secp256k1' }).privateKey),
    edwards: spki(makeKeyPair('ed25519').privateKey),
    pss: spki(makeKeyPair('rsa-pss', { modulusLength: 2048 }).privateKey),
  };
  const offCurve = Buffer.from(publicKey);
  offCurve[offCurve.length - 1] = (offCurve[offCurve.length - 1] ?? 0) ^ 1;

  it.each<[string, Partial<WitSvidRequest>, string]>([
    ['no algorithm', { signingAlgorithm: '' }, 'unknown signing algorithm ""; accepted are RS256'],
    ['alg none', { signingAlgorithm: 'none' }, 'unknown signing algorithm'],
    ['a symmetric algorithm', { signingAlgorithm: 'HS256' }, 'unknown signing algorithm'],
    ['EdDSA', { signingAlgorithm: 'EdDSA', publicKey: generated.edwards }, 'unknown signing algorithm'],
    ['a lower-case algorithm', { signingAlgorithm: 'es256' }, 'unknown signing algorithm'],
    ['an algorithm of another curve', { signingAlgorithm: 'ES384' }, 'is not one for ES384'],
    ['an algorithm of another kind of key', { signingAlgorithm: 'RS256' }, 'is not one for RS256'],
    ['an RSA key for ECDSA', { publicKey: exportSpki(holders.rsa) }, 'is not one for ES256'],
    ['RSA of 1024 bits', { publicKey: generated.weak, signingAlgorithm: 'RS256' }, 'RSA key of 1024 bits'],
    ['another curve', { publicKey: generated.koblitz }, 'unsupported public key'],
    ['an Edwards key', { publicKey: generated.edwards }, 'unsupported public key'],
    ['a key for RSASSA-PSS alone', { publicKey: generated.pss, signingAlgorithm: 'PS256' }, 'unsupported'],
    ['no key', { publicKey: Buffer.alloc(0) }, ''],
    ['a key with bytes after it', { publicKey: Buffer.concat([publicKey, Buffer.from([0])]) }, ''],
    ['a truncated key', { publicKey: publicKey.subarray(0, -1) }, ''],
    ['a point that is not on its curve', { publicKey: offCurve }, 'not a point of its curve'],
    ['a huge key', { publicKey: Buffer.alloc(2049) }, 'longer than 2048 bytes'],
    ['a private key', { publicKey: holders['P-256'].export({ format: 'der', type: 'pkcs8' }) }, ''],
    ['a foreign ID', { spiffeId: parseSpiffeId('spiffe://other.org/web') }, 'is not in trust domain'],
    ['an ID without a path', { spiffeId: parseSpiffeId('spiffe://example.org') }, 'has no path'],
    ['no life', { ttlSeconds: 0 }, 'at least 1 second'],
  ])('%s', async (_what, change, message) => {
    const refused = issuanceBy(authorities['ec-p256']).issue(request(change));
    await expect(refused).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining(message) as string,
    });
  });

  it('any key of which one byte was changed, or binds exactly the key that came', async () => {
    const issuance = issuanceBy(authorities['ec-p256']);
    const property = fc.asyncProperty(
      fc.integer({ min: 0, max: publicKey.length - 1 }),
      fc.integer({ min: 1, max: 255 }),
      async (index, change) => {
        const mutated = Buffer.from(publicKey);
        mutated[index] = (mutated[index] ?? 0) ^ change;
        const outcome = await issuance
          .issue(request({ publicKey: mutated }))
          .catch((error: unknown) => error);
        if (outcome instanceof Error) expect(outcome).toMatchObject({ reason: 'invalid_argument' });
      },
    );
    await fc.assert(property, { numRuns: 300 });
  });

  it('to sign with an authority that has expired', async () => {
    const expired = { ...authorities['ec-p256'], notAfter: now };
    await expect(issuanceBy(expired).issue(request())).rejects.toMatchObject({ reason: 'unavailable' });
  });
});
