import fc from 'fast-check';
import { jwtVerify } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { KEY_TYPES, type KeyType } from '@bonafide/shared/crypto/key-type';
import { jwsAlgorithmFor } from '@bonafide/shared/crypto/jws-algorithm';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { createKeySigner } from '@bonafide/shared/crypto/signer';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import type { TokenSigningAuthority } from '../authority/token-signing-authority.js';
import { JwtSvidIssuance } from './issue-jwt-svid.js';
import type { JwtSvidRequest } from './jwt-svid-request.js';
import { SigningWindow } from './signing-window.js';

const trustDomain = parseTrustDomain('example.org');
const spiffeId = parseSpiffeId('spiffe://example.org/ns/default/sa/web');
const now = new Date('2030-01-01T00:00:00.900Z');
const second = new Date('2030-01-01T00:00:00Z');
const clock = new FakeClock(now);

let authorities: Readonly<Record<KeyType, TokenSigningAuthority>>;
beforeAll(async () => {
  const keys = new MemoryKeyManager();
  const make = async (keyType: KeyType): Promise<TokenSigningAuthority> => {
    const signer = await keys.generateKey(keyType, keyType);
    return { keyId: `of-${keyType}`, signer, notAfter: addSeconds(second, 86_400) };
  };
  const made = await Promise.all(KEY_TYPES.map(async (keyType) => [keyType, await make(keyType)] as const));
  authorities = Object.fromEntries(made) as typeof authorities;
});

function issuanceBy(authority: TokenSigningAuthority, issuer?: string): JwtSvidIssuance {
  return new JwtSvidIssuance({ trustDomain, authorities: { activeJwt: () => authority }, clock, issuer });
}

function request(change: Partial<JwtSvidRequest> = {}): JwtSvidRequest {
  return { spiffeId, audience: ['db'], ttlSeconds: 300, includesTokenId: false, ...change };
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
    witAuthorities: [],
    refreshHintSeconds: undefined,
    sequenceNumber: 1,
  };
}

function partsOf(token: string): { readonly header: unknown; readonly payload: unknown } {
  const { header, payload } = parseCompactJws(token);
  return { header, payload };
}

describe('an issued JWT-SVID', () => {
  it('has the claims that SPIRE writes, and no others', async () => {
    const { token, issuedAt, expiresAt, tokenId } = await issuanceBy(authorities['ec-p256']).issue(request());
    expect(partsOf(token)).toEqual({
      header: { alg: 'ES256', kid: 'of-ec-p256', typ: 'JWT' },
      payload: {
        aud: ['db'],
        exp: unixSeconds(second) + 300,
        iat: unixSeconds(second),
        sub: spiffeId,
      },
    });
    expect({ issuedAt, expiresAt, tokenId }).toEqual({
      issuedAt: second,
      expiresAt: addSeconds(second, 300),
      tokenId: undefined,
    });
  });

  it('names the configured issuer, and has an ID of its own when the entry wants one', async () => {
    const issuance = issuanceBy(authorities['ec-p256'], 'https://oidc.example.org');
    const issued = await Promise.all(
      Array.from({ length: 100 }, () => issuance.issue(request({ includesTokenId: true }))),
    );
    for (const { token, tokenId } of issued) {
      expect(partsOf(token).payload).toMatchObject({ iss: 'https://oidc.example.org', jti: tokenId });
      expect(tokenId).toMatch(/^[A-Za-z0-9_-]{22}$/);
    }
    expect(new Set(issued.map(({ tokenId }) => tokenId)).size).toBe(100);
  });

  it.each(KEY_TYPES)('verifies for whoever has the bundle, by a key of type %s', async (keyType) => {
    const authority = authorities[keyType];
    const { token, expiresAt } = await issuanceBy(authority).issue(request());
    const bundle = bundleOf(authority);
    const verified = await verifyJwtSvid({ token, audience: 'db', bundle: () => bundle, now });
    expect(verified).toMatchObject({ spiffeId, audience: ['db'], keyId: `of-${keyType}`, expiresAt });
    const { payload, protectedHeader } = await jwtVerify(token, authority.signer.publicKey, {
      audience: 'db',
      subject: spiffeId,
      typ: 'JWT',
      currentDate: now,
      algorithms: [jwsAlgorithmFor(keyType)],
      requiredClaims: ['aud', 'exp', 'iat', 'sub'],
    });
    expect([payload.exp, protectedHeader.kid]).toEqual([unixSeconds(expiresAt), `of-${keyType}`]);
  });

  it('says what was asked for, whatever text the audiences are and however long it is to live', async () => {
    const authority = authorities['ec-p256'];
    const bundle = bundleOf(authority);
    const issuance = issuanceBy(authority, 'spiffe://example.org');
    const audience = fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 100 }), {
      minLength: 1,
      maxLength: 8,
    });
    const ttl = fc.double({ min: 1, max: 2 ** 32, noNaN: true });
    const property = fc.asyncProperty(
      audience,
      ttl,
      fc.boolean(),
      async (names, ttlSeconds, includesTokenId) => {
        const issued = await issuance.issue({ spiffeId, audience: names, ttlSeconds, includesTokenId });
        const { token, expiresAt } = issued;
        const wantedEnd = addSeconds(second, Math.floor(ttlSeconds));
        expect(expiresAt).toEqual(wantedEnd < authority.notAfter ? wantedEnd : authority.notAfter);
        for (const name of names) {
          const verified = await verifyJwtSvid({
            token,
            audience: name,
            bundle: () => bundle,
            now,
            leewaySeconds: 0,
          });
          expect(verified).toMatchObject({ spiffeId, audience: names, issuedAt: second, expiresAt });
        }
        const { payload } = await jwtVerify(token, authority.signer.publicKey, {
          audience: names[0] ?? '',
          currentDate: now,
        });
        expect(payload).toMatchObject({ aud: names, sub: spiffeId, iss: 'spiffe://example.org' });
        await expect(
          verifyJwtSvid({ token, audience: 'db', bundle: () => bundle, now: expiresAt, leewaySeconds: 0 }),
        ).rejects.toMatchObject({ reason: 'unauthenticated' });
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });

  it('never outlives its authority, not even by a part of a second', async () => {
    const authority = { ...authorities['ec-p256'], notAfter: new Date('2030-01-01T00:01:00.700Z') };
    const { expiresAt } = await issuanceBy(authority).issue(request());
    expect(expiresAt).toEqual(new Date('2030-01-01T00:01:00Z'));
  });
});

describe('JWT-SVID issuance refuses', () => {
  const long = 'x'.repeat(2048);
  it.each<[string, Partial<JwtSvidRequest>, string]>([
    ['no audience', { audience: [] }, 'at least one audience is required'],
    ['an empty audience', { audience: ['db', ''] }, 'an audience is empty'],
    ['101 audiences', { audience: Array.from({ length: 101 }, String) }, 'at most 100 are accepted'],
    ['a long audience', { audience: [`${long}x`] }, 'longer than 2048 characters'],
    ['long audiences', { audience: [long, long, long, long] }, 'together are longer than 8192 bytes'],
    ['audiences that JSON makes long', { audience: ['\u0001'.repeat(1400)] }, 'together are longer'],
    ['a foreign ID', { spiffeId: parseSpiffeId('spiffe://other.org/web') }, 'is not in trust domain'],
    ['an ID without a path', { spiffeId: parseSpiffeId('spiffe://example.org') }, 'has no path'],
    ['no life', { ttlSeconds: 0 }, 'at least 1 second'],
    ['less than a second', { ttlSeconds: 0.9 }, 'at least 1 second'],
    ['a life that is no number', { ttlSeconds: NaN }, 'at least 1 second'],
  ])('%s', async (_what, change, message) => {
    const refused = issuanceBy(authorities['ec-p256']).issue(request(change));
    await expect(refused).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining(message) as string,
    });
  });

  it('to sign with an authority that has expired, or has less than a second left', async () => {
    for (const notAfter of [addSeconds(second, -1), second, now, new Date('2030-01-01T00:00:00.950Z')]) {
      const expired = { ...authorities['ec-p256'], notAfter };
      await expect(issuanceBy(expired).issue(request())).rejects.toMatchObject({ reason: 'unavailable' });
    }
  });

  it('when no authority is active, and whoever comes to a full window', async () => {
    const unavailable = new BonafideError('unavailable', 'no JWT authority is active');
    const activeJwt = (): never => {
      throw unavailable;
    };
    const none = new JwtSvidIssuance({ trustDomain, authorities: { activeJwt }, clock, issuer: undefined });
    await expect(none.issue(request())).rejects.toBe(unavailable);
    const full = new JwtSvidIssuance({
      trustDomain,
      authorities: { activeJwt: () => authorities['ec-p256'] },
      clock,
      issuer: undefined,
      window: new SigningWindow(1, 0),
    });
    const first = full.issue(request());
    await expect(full.issue(request())).rejects.toMatchObject({ reason: 'resource_exhausted' });
    await first;
  });

  it('to sign what is not what was asked for, such as the token of an authority without a key ID', async () => {
    const nameless = { ...authorities['ec-p256'], keyId: '' };
    await expect(issuanceBy(nameless).issue(request())).rejects.toMatchObject({
      reason: 'internal',
      message: 'refusing to sign a JWT-SVID: the key ID is not that of the authority',
    });
    const other = createKeySigner(makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey);
    let isAsked = false;
    const signer = {
      ...other,
      sign: () => {
        isAsked = true;
        return Promise.reject(new Error('asked to sign'));
      },
    };
    await expect(issuanceBy({ ...nameless, signer }).issue(request())).rejects.toMatchObject({
      reason: 'internal',
    });
    expect(isAsked).toBe(false);
  });
});
