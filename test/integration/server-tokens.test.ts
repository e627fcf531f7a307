import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { importSPKI, jwtVerify, type JWTVerifyResult } from 'jose';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { exportSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { verifyJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const SVID = 'spire.api.server.svid.v1.SVID';
const ISSUER = 'https://oidc.example.org';
const NOT_AUTHORIZED = 'entry not found or not authorized';

const holder = makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey;
const publicKey = exportSpki(holder);

let server: InProcessServer;
let agent: Attested;
let entryId: string;
beforeAll(async () => {
  server = await InProcessServer.start({ config: { server: { jwt_issuer: ISSUER } } });
  agent = await server.attestNew();
  entryId = await server.createEntry(agent.spiffeId, '/web', { jwtSvidTtl: 60, x509SvidTtl: 120 });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function bundleOf(on = server): Promise<TrustBundle> {
  return bundleFromProto(await callUnary(on.local(BUNDLE), 'GetBundle', {}));
}

async function newJwt(request: object, by = agent, on = server): Promise<string> {
  const { svid } = await callUnary(await on.remote(SVID, by), 'NewJWTSVID', request);
  return svid?.token ?? '';
}

async function newWit(param: object, by = agent, on = server) {
  const { results } = await callUnary(await on.remote(SVID, by), 'BatchNewWITSVID', { params: [param] });
  const [result] = results;
  return { code: result?.status?.code, message: result?.status?.message, svid: result?.svid };
}

function claimsOf(token: string): Readonly<Record<string, unknown>> {
  return parseCompactJws(token).payload;
}

/** By the keys of the bundle alone. */
async function verifyWithJose(
  token: string,
  kind: 'jwtAuthorities' | 'witAuthorities',
): Promise<JWTVerifyResult> {
  const { header } = parseCompactJws(token);
  const authority = (await bundleOf())[kind].find(({ keyId }) => keyId === header['kid']);
  const pem = encodePem('PUBLIC KEY', authority?.publicKey ?? Buffer.alloc(0));
  return jwtVerify(token, await importSPKI(pem, 'ES256'), { algorithms: ['ES256'] });
}

describe('NewJWTSVID', () => {
  it('gives an agent the JWT-SVID of its entry, which verifies by the bundle', async () => {
    const before = unixSeconds(new Date());
    const client = await server.remote(SVID, agent);
    const { svid } = await callUnary(client, 'NewJWTSVID', { entryId, audience: ['db', 'api'] });
    const token = svid?.token ?? '';
    const bundle = await bundleOf();
    const verified = await verifyJwtSvid({ token, audience: 'api', bundle: () => bundle, now: new Date() });
    expect(verified).toMatchObject({ spiffeId: 'spiffe://example.org/web', audience: ['db', 'api'] });
    const issuedAt = svid?.issuedAt ?? 0;
    expect(svid).toMatchObject({
      id: { trustDomain: 'example.org', path: '/web' },
      expiresAt: issuedAt + 60,
    });
    expect(issuedAt).toBeGreaterThanOrEqual(before);
    const { payload, protectedHeader } = await verifyWithJose(token, 'jwtAuthorities');
    expect(Object.keys(protectedHeader).sort()).toEqual(['alg', 'kid', 'typ']);
    expect(payload).toEqual({
      aud: ['db', 'api'],
      exp: issuedAt + 60,
      iat: issuedAt,
      iss: ISSUER,
      sub: 'spiffe://example.org/web',
    });
  });

  it('lives five minutes when neither entry nor configuration says otherwise, and has an ID where the entry has it so', async () => {
    const id = await server.createEntry(agent.spiffeId, '/traced', {
      additionalAttributes: { jwtSvidIncludeJti: true },
    });
    const claims = [
      claimsOf(await newJwt({ entryId: id, audience: ['db'] })),
      claimsOf(await newJwt({ entryId: id, audience: ['db'] })),
    ];
    for (const { exp, iat } of claims) expect(Number(exp) - Number(iat)).toBe(300);
    expect(claims[0]?.['jti']).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(claims[0]?.['jti']).not.toBe(claims[1]?.['jti']);
  });

  it('refuses the entries of others, those that are gone, and those that never were (invariant 1)', async () => {
    const other = await server.attestNew();
    const gone = await server.createEntry(agent.spiffeId, '/gone');
    await newJwt({ entryId: gone, audience: ['db'] });
    await callUnary(server.local(ENTRY), 'BatchDeleteEntry', { ids: [gone] });
    const ids = [
      await server.createEntry(other.spiffeId, '/theirs'),
      await server.createEntry('spiffe://example.org/spire/server', '/of-the-server'),
      gone,
      'nonsense',
    ];
    for (const id of ids) {
      await expect(newJwt({ entryId: id, audience: ['db'] })).rejects.toMatchObject({
        reason: 'not_found',
        message: NOT_AUTHORIZED,
      });
    }
    await expect(newJwt({ audience: ['db'] })).rejects.toThrow('missing entry ID');
  });

  it.each([
    ['no audience', [], 'at least one audience is required'],
    ['an empty one', ['db', ''], 'an audience is empty'],
    ['too many', Array.from({ length: 101 }, String), 'at most 100 are accepted'],
    ['too long a one', ['x'.repeat(2049)], 'longer than 2048 characters'],
    [
      'too long ones',
      Array.from({ length: 9 }, () => 'x'.repeat(1000)),
      'together are longer than 8192 bytes',
    ],
  ])('refuses %s', async (_what, audience, message) => {
    await expect(newJwt({ entryId, audience })).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining(message) as string,
    });
  });

  it('is for agents alone, and only as long as they are not banned', async () => {
    const request = { entryId, audience: ['db'] };
    await expect(callUnary(server.local(SVID), 'NewJWTSVID', request)).rejects.toMatchObject({
      reason: 'permission_denied',
    });
    await expect(callUnary(await server.remote(SVID), 'NewJWTSVID', request)).rejects.toMatchObject({
      reason: 'permission_denied',
    });
    const banned = await server.attestNew();
    const id = await server.createEntry(banned.spiffeId, '/banned');
    await newJwt({ entryId: id, audience: ['db'] }, banned);
    const path = new URL(banned.spiffeId).pathname;
    await callUnary(server.local('spire.api.server.agent.v1.Agent'), 'BanAgent', {
      id: { trustDomain: 'example.org', path },
    });
    await expect(newJwt({ entryId: id, audience: ['db'] }, banned)).rejects.toMatchObject({
      reason: 'agent_banned',
    });
  });

  it('is rate limited', async () => {
    await using limited = await InProcessServer.start({
      config: { server: { ratelimit: { signing: true, signing_per_second: 1 } } },
    });
    const node = await limited.attestNew();
    const id = await limited.createEntry(node.spiffeId, '/web');
    const client = await limited.remote(SVID, node);
    const calls = Array.from({ length: 12 }, () =>
      callUnary(client, 'NewJWTSVID', { entryId: id, audience: ['db'] }),
    );
    const outcomes = await Promise.allSettled(calls);
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ reason: 'resource_exhausted' });
  });
});

describe('MintJWTSVID', () => {
  const id = { trustDomain: 'example.org', path: '/minted' };

  it('gives an operator the JWT-SVID of any workload', async () => {
    const client = server.local(SVID);
    const { svid } = await callUnary(client, 'MintJWTSVID', { id, audience: ['db'], ttl: 90 });
    const token = svid?.token ?? '';
    const { payload } = await verifyWithJose(token, 'jwtAuthorities');
    expect(payload).toMatchObject({ sub: 'spiffe://example.org/minted', aud: ['db'], iss: ISSUER });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(90);
    const byDefault = await callUnary(client, 'MintJWTSVID', { id, audience: ['db'] });
    const claims = claimsOf(byDefault.svid?.token ?? '');
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(300);
  });

  it.each([
    ['no ID', { audience: ['db'] }, 'id: is missing'],
    ['an agent', { id: { ...id, path: '/spire/agent/x' }, audience: ['db'] }, 'is not a workload'],
    [
      'a foreign trust domain',
      { id: { ...id, trustDomain: 'other.test' }, audience: ['db'] },
      'is not a member',
    ],
    ['an ID without a path', { id: { ...id, path: '' }, audience: ['db'] }, 'path is empty'],
    ['no audience', { id }, 'at least one audience is required'],
    ['a negative life', { id, audience: ['db'], ttl: -1 }, 'ttl is negative'],
  ])('refuses %s', async (_what, request, message) => {
    await expect(callUnary(server.local(SVID), 'MintJWTSVID', request)).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining(message) as string,
    });
  });

  it('is not for agents', async () => {
    const call = callUnary(await server.remote(SVID, agent), 'MintJWTSVID', { id, audience: ['db'] });
    await expect(call).rejects.toMatchObject({ reason: 'permission_denied' });
  });
});

describe('BatchNewWITSVID', () => {
  it('gives an agent the WIT-SVID of its entry, bound to the key that it named', async () => {
    const { code, svid } = await newWit({ entryId, publicKey, signingAlgorithm: 'ES256' });
    const token = svid?.token ?? '';
    const bundle = await bundleOf();
    const verified = await verifyWitSvid({ token, bundle: () => bundle, now: new Date() });
    expect(code).toBe(0);
    expect(verified).toMatchObject({ spiffeId: 'spiffe://example.org/web', confirmationAlgorithm: 'ES256' });
    expect(exportSpki(verified.confirmationKey)).toEqual(publicKey);
    const { payload, protectedHeader } = await verifyWithJose(token, 'witAuthorities');
    expect(protectedHeader).toMatchObject({ alg: 'ES256', typ: 'wit+jwt' });
    expect(Object.keys(payload).sort()).toEqual(['cnf', 'exp', 'iat', 'jti', 'sub']);
    // As in SPIRE, its life is that of the entry's X.509-SVIDs.
    expect(svid).toMatchObject({ issuedAt: payload.iat, expiresAt: Number(payload.iat) + 120 });
    expect(payload.exp).toBe(svid?.expiresAt);
  });

  it('is signed by a key that signs no JWT-SVIDs, under a name that no other key has', async () => {
    const { jwtAuthorities, witAuthorities } = await bundleOf();
    const all = [...jwtAuthorities, ...witAuthorities];
    expect(new Set(all.map(({ keyId }) => keyId)).size).toBe(all.length);
    const { svid } = await newWit({ entryId, publicKey, signingAlgorithm: 'ES256' });
    const { kid } = parseCompactJws(svid?.token ?? '').header;
    expect(witAuthorities.map(({ keyId }) => keyId)).toContain(kid);
    expect(jwtAuthorities.map(({ keyId }) => keyId)).not.toContain(kid);
  });

  it('answers each item on its own', async () => {
    const other = await server.attestNew();
    const theirs = await server.createEntry(other.spiffeId, '/their-wit');
    const good = { entryId, publicKey, signingAlgorithm: 'ES256' };
    const spki = (key: KeyObject): Buffer => createPublicKey(key).export({ format: 'der', type: 'spki' });
    const weak = spki(makeKeyPair('rsa', { modulusLength: 1024 }).privateKey);
    const { results } = await callUnary(await server.remote(SVID, agent), 'BatchNewWITSVID', {
      params: [
        good,
        { ...good, entryId: theirs },
        { ...good, entryId: '' },
        { entryId, signingAlgorithm: 'ES256' },
        { entryId, publicKey },
        { ...good, signingAlgorithm: 'none' },
        { ...good, signingAlgorithm: 'ES384' },
        { ...good, publicKey: publicKey.subarray(1) },
        { ...good, publicKey: weak, signingAlgorithm: 'RS256' },
        { ...good, publicKey: Buffer.alloc(100_000) },
        good,
      ],
    });
    expect(results.map(({ status }) => status?.code)).toEqual([0, 5, 3, 3, 3, 3, 3, 3, 3, 3, 0]);
    expect(results.map(({ svid }) => svid?.id?.path)).toEqual([
      '/web',
      ...Array.from({ length: 9 }, () => undefined),
      '/web',
    ]);
    const messages = results.map(({ status }) => status?.message ?? '');
    expect(messages.slice(1, 4)).toEqual([NOT_AUTHORIZED, 'missing entry ID', 'missing public key']);
    expect(messages[8]).toContain('RSA key of 1024 bits');
    const [first, last] = [results[0], results[10]].map((result) => claimsOf(result?.svid?.token ?? ''));
    expect(first?.['jti']).not.toBe(last?.['jti']);
  });

  it('signs at most 500 at a time, at least one, and is rate limited like X.509-SVIDs', async () => {
    const good = { entryId, publicKey, signingAlgorithm: 'ES256' };
    const client = await server.remote(SVID, agent);
    const many = (count: number) =>
      callUnary(client, 'BatchNewWITSVID', { params: Array.from({ length: count }, () => good) });
    const { results } = await many(500);
    expect(results.filter(({ status }) => status?.code === 0)).toHaveLength(500);
    await expect(many(501)).rejects.toThrow('rate (501) exceeds burst size (500)');
    await expect(many(0)).rejects.toThrow('missing parameters');
    await using limited = await InProcessServer.start({
      config: { server: { ratelimit: { signing: true, signing_per_second: 5 } } },
    });
    const node = await limited.attestNew();
    const id = await limited.createEntry(node.spiffeId, '/web');
    const six = callUnary(await limited.remote(SVID, node), 'BatchNewWITSVID', {
      params: Array.from({ length: 6 }, () => ({ ...good, entryId: id })),
    });
    await expect(six).rejects.toThrow('rate (6) exceeds burst size (5)');
  });

  it('is for agents alone', async () => {
    const request = { params: [{ entryId, publicKey, signingAlgorithm: 'ES256' }] };
    for (const client of [server.local(SVID), await server.remote(SVID)]) {
      await expect(callUnary(client, 'BatchNewWITSVID', request)).rejects.toMatchObject({
        reason: 'permission_denied',
      });
    }
  });
});

describe('MintWITSVID', () => {
  const good = {
    id: { trustDomain: 'example.org', path: '/minted' },
    publicKey,
    signingAlgorithm: 'ES256',
  };

  it('gives an operator the WIT-SVID of any workload, for an hour unless told otherwise', async () => {
    const client = server.local(SVID);
    for (const [ttl, life] of [
      [0, 3600],
      [90, 90],
    ] as const) {
      const { svid } = await callUnary(client, 'MintWITSVID', { ...good, ttl });
      const { payload } = await verifyWithJose(svid?.token ?? '', 'witAuthorities');
      expect(payload.sub).toBe('spiffe://example.org/minted');
      expect(Number(payload.exp) - Number(payload.iat)).toBe(life);
    }
  });

  it.each([
    ['no ID', { id: null }, 'id: is missing'],
    ['the server', { id: { trustDomain: 'example.org', path: '/spire/server' } }, 'is not a workload'],
    ['a foreign trust domain', { id: { trustDomain: 'other.test', path: '/x' } }, 'is not a member'],
    ['no key', { publicKey: Buffer.alloc(0) }, 'missing public key'],
    ['a malformed key', { publicKey: Buffer.from('nonsense') }, 'public key'],
    ['no algorithm', { signingAlgorithm: '' }, 'unknown signing algorithm'],
    ['an algorithm of another key', { signingAlgorithm: 'PS256' }, 'is not one for PS256'],
    ['a negative life', { ttl: -1 }, 'ttl is negative'],
  ])('refuses %s', async (_what, change, message) => {
    const call = callUnary(server.local(SVID), 'MintWITSVID', { ...good, ...change });
    await expect(call).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining(message) as string,
    });
  });

  it('is not for agents', async () => {
    const call = callUnary(await server.remote(SVID, agent), 'MintWITSVID', good);
    await expect(call).rejects.toMatchObject({ reason: 'permission_denied' });
  });
});

describe('a token (invariant 1)', () => {
  it('ends with its authority at the latest, for entries and operators', async () => {
    const longest = 2 ** 31 - 1;
    const id = await server.createEntry(agent.spiffeId, '/for-ever', {
      jwtSvidTtl: longest,
      x509SvidTtl: longest,
    });
    const { jwtAuthorities, witAuthorities } = await bundleOf();
    const ends = [jwtAuthorities, witAuthorities].map(([authority]) =>
      unixSeconds(authority?.expiresAt ?? new Date(0)),
    );
    const client = server.local(SVID);
    const minted = { id: { trustDomain: 'example.org', path: '/x' }, ttl: longest };
    const jwts = [
      await newJwt({ entryId: id, audience: ['db'] }),
      (await callUnary(client, 'MintJWTSVID', { ...minted, audience: ['db'] })).svid?.token ?? '',
    ];
    const wits = [
      (await newWit({ entryId: id, publicKey, signingAlgorithm: 'ES256' })).svid?.token ?? '',
      (await callUnary(client, 'MintWITSVID', { ...minted, publicKey, signingAlgorithm: 'ES256' })).svid
        ?.token ?? '',
    ];
    expect(jwts.map((token) => claimsOf(token)['exp'])).toEqual([ends[0], ends[0]]);
    expect(wits.map((token) => claimsOf(token)['exp'])).toEqual([ends[1], ends[1]]);
  });

  it('follows its entry: a new name at once, the old one never again', async () => {
    const id = await server.createEntry(agent.spiffeId, '/old');
    await callUnary(server.local(ENTRY), 'BatchUpdateEntry', {
      entries: [{ id, spiffeId: { trustDomain: 'example.org', path: '/new' }, jwtSvidTtl: 7 }],
      inputMask: { spiffeId: true, jwtSvidTtl: true },
    });
    const claims = claimsOf(await newJwt({ entryId: id, audience: ['db'] }));
    expect(claims['sub']).toBe('spiffe://example.org/new');
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(7);
    const { svid } = await newWit({ entryId: id, publicKey, signingAlgorithm: 'ES256' });
    expect(claimsOf(svid?.token ?? '')['sub']).toBe('spiffe://example.org/new');
  });

  it('is not signed by an authority that has expired', async () => {
    const clock = new FakeClock(new Date());
    await using aging = await InProcessServer.start({ clock, config: { server: { ca_ttl: '1h' } } });
    const client = aging.local(SVID);
    const id = { trustDomain: 'example.org', path: '/x' };
    const mint = () =>
      Promise.allSettled([
        callUnary(client, 'MintJWTSVID', { id, audience: ['db'] }),
        callUnary(client, 'MintWITSVID', { id, publicKey, signingAlgorithm: 'ES256' }),
      ]);
    expect((await mint()).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled']);
    clock.jumpWallClock(3_600_000);
    expect(await mint()).toMatchObject([
      { status: 'rejected', reason: { reason: 'unavailable' } },
      { status: 'rejected', reason: { reason: 'unavailable' } },
    ]);
  });

  it.each(['ec-p384', 'rsa-2048'])(
    'is signed by the configured kind of key, %s',
    async (keyType) => {
      await using other = await InProcessServer.start({ config: { server: { ca_key_type: keyType } } });
      const client = other.local(SVID);
      const id = { trustDomain: 'example.org', path: '/x' };
      const bundle = await bundleOf(other);
      const verification = { bundle: () => bundle, now: new Date() };
      const jwt = await callUnary(client, 'MintJWTSVID', { id, audience: ['db'] });
      const wit = await callUnary(client, 'MintWITSVID', { id, publicKey, signingAlgorithm: 'ES256' });
      const token = jwt.svid?.token ?? '';
      expect(parseCompactJws(token).header['alg']).toBe(keyType === 'ec-p384' ? 'ES384' : 'RS256');
      await verifyJwtSvid({ ...verification, token, audience: 'db' });
      await verifyWitSvid({ ...verification, token: wit.svid?.token ?? '' });
    },
    300_000,
  );

  it('is never in the log (invariant 6)', async () => {
    const token = await newJwt({ entryId, audience: ['db'] });
    const minted = await callUnary(server.local(SVID), 'MintJWTSVID', {
      id: { trustDomain: 'example.org', path: '/x' },
      audience: ['db'],
    });
    const log = await readFile(server.directory.join('server.log'), 'utf8');
    expect(log).toContain('Signed JWT SVID');
    for (const secret of [token, minted.svid?.token ?? token]) {
      for (const part of secret.split('.').slice(1)) expect(log).not.toContain(part);
    }
  });
});
