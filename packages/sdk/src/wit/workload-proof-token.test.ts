/** Workload proof tokens and the replay store, attacked; jose is the second opinion. */
import { createHash, createPublicKey } from 'node:crypto';
import { JWS_ALGORITHMS, signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { parseWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { addSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { jwtVerify } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { createWorkloadProofToken } from './create-workload-proof-token.js';
import { claimOnce, MemoryReplayStore } from './replay-store.js';
import { verifyWorkloadProofToken, type WorkloadProofVerification } from './verify-workload-proof-token.js';

const AUDIENCE = 'https://billing.internal/invoices';
const clock = new FakeClock();
const now = clock.now();
const authority = TestTokenAuthority.create('example.org');
let svid: WitSvid;

beforeAll(async () => {
  svid = await authority.issueWitSvid('/web', { now });
});

function verification(
  token: string,
  over: Partial<WorkloadProofVerification> = {},
): WorkloadProofVerification {
  return { token, witToken: svid.token, wit: parseWitSvid(svid.token), audiences: [AUDIENCE], now, ...over };
}

async function forge(claims: JsonObject, header: JsonObject = {}): Promise<string> {
  const full = {
    aud: AUDIENCE,
    exp: unixSeconds(now) + 60,
    jti: 'one',
    wth: createHash('sha256').update(svid.token).digest('base64url'),
    ...claims,
  };
  return encodeCompactJws({ alg: 'ES256', typ: 'wpt+jwt', ...header }, full, (data) =>
    signJwsAs('ES256', svid.privateKey, data),
  );
}

describe('a workload proof token', () => {
  it.each(JWS_ALGORITHMS)('is signed with %s as its WIT-SVID says; jose agrees', async (algorithm) => {
    const own = await authority.issueWitSvid('/web', { now, algorithm });
    const token = await createWorkloadProofToken(own, { audience: AUDIENCE, clock });
    const { payload, protectedHeader } = await jwtVerify(token, createPublicKey(own.privateKey), {
      audience: AUDIENCE,
      typ: 'wpt+jwt',
      algorithms: [algorithm],
      currentDate: now,
    });
    expect(protectedHeader).toEqual({ alg: algorithm, typ: 'wpt+jwt' });
    expect(payload).toEqual({
      aud: AUDIENCE,
      exp: unixSeconds(now) + 60,
      jti: expect.stringMatching(/^[\w-]{22}$/) as string,
      wth: createHash('sha256').update(own.token, 'ascii').digest('base64url'),
    });
    const wit = parseWitSvid(own.token);
    const verified = await verifyWorkloadProofToken(verification(token, { wit, witToken: own.token }));
    expect(verified).toMatchObject({ audience: AUDIENCE, use: { sender: 'spiffe://example.org/web' } });
  });

  it('is bound to every token of the request, no more and no fewer', async () => {
    const tokens = { accessToken: 'access', transactionToken: 'txn', otherTokens: { 'X-Token': ' other ' } };
    const there = { ...tokens, otherTokens: { 'x-token': 'other' } };
    const token = await createWorkloadProofToken(svid, { audience: AUDIENCE, clock, ...tokens });
    await verifyWorkloadProofToken(verification(token, there));
    for (const over of [
      { accessToken: 'another' },
      { accessToken: undefined },
      { transactionToken: 'another' },
      { transactionToken: undefined },
      { otherTokens: { 'x-token': 'another' } },
      { otherTokens: {} },
      { otherTokens: { 'x-token': 'other', 'x-more': 'more' } },
    ]) {
      await expect(
        verifyWorkloadProofToken(verification(token, { ...there, ...over })),
      ).rejects.toMatchObject({
        reason: 'unauthenticated',
      });
    }
    const bare = await createWorkloadProofToken(svid, { audience: AUDIENCE, clock });
    await expect(verifyWorkloadProofToken(verification(bare, { accessToken: 'access' }))).rejects.toThrow(
      '"ath"',
    );
  });

  it.each<[string, JsonObject, JsonObject]>([
    ['another type', {}, { typ: 'JWT' }],
    ['no type', {}, { typ: undefined }],
    ['another algorithm', {}, { alg: 'ES384' }],
    ['no algorithm', {}, { alg: 'none' }],
    ['critical extensions', {}, { crit: ['b64'] }],
    ['no expiry', { exp: undefined }, {}],
    ['an expiry that is text', { exp: '99999999999' }, {}],
    ['an expiry in the past', { exp: unixSeconds(now) - 61 }, {}],
    ['an expiry far in the future', { exp: unixSeconds(now) + 361 }, {}],
    ['no jti', { jti: undefined }, {}],
    ['an empty jti', { jti: '' }, {}],
    ['a long jti', { jti: 'x'.repeat(257) }, {}],
    ['no audience', { aud: undefined }, {}],
    ['several audiences', { aud: [AUDIENCE] }, {}],
    ['another audience', { aud: `${AUDIENCE}/` }, {}],
    ['no hash of the WIT', { wth: undefined }, {}],
    ['the hash of another WIT', { wth: createHash('sha256').update('x').digest('base64url') }, {}],
    ['an unknown other token', { oth: { 'x-unknown': 'AAAA' } }, {}],
    ['other tokens that are no object', { oth: ['x'] }, {}],
  ])('is refused with %s', async (_name, claims, header) => {
    await verifyWorkloadProofToken(verification(await forge({})));
    await expect(verifyWorkloadProofToken(verification(await forge(claims, header)))).rejects.toBeInstanceOf(
      BonafideError,
    );
  });

  it('is refused when another key signed it', async () => {
    const thief = await authority.issueWitSvid('/thief', { now });
    const stolen = await createWorkloadProofToken(
      { ...thief, token: svid.token },
      { audience: AUDIENCE, clock },
    );
    await expect(verifyWorkloadProofToken(verification(stolen))).rejects.toThrow('not signed with the key');
  });

  it.each([
    [59, true],
    [-59, true],
    [-600, false],
    [600, false],
  ])('with a sender whose clock is off by %d s: accepted %s', async (seconds, isAccepted) => {
    const theirs = new FakeClock(addSeconds(now, seconds));
    const long = await authority.issueWitSvid('/web', { now, ttlSeconds: 7200 });
    const token = await createWorkloadProofToken(long, { audience: AUDIENCE, clock: theirs });
    const verifying = verifyWorkloadProofToken(
      verification(token, { witToken: long.token, wit: parseWitSvid(long.token) }),
    );
    if (isAccepted) await verifying;
    else await expect(verifying).rejects.toMatchObject({ reason: 'unauthenticated' });
  });

  it('is not made of an expired SVID, for nobody, or for no time', async () => {
    const later = new FakeClock(svid.expiresAt);
    await expect(createWorkloadProofToken(svid, { audience: AUDIENCE, clock: later })).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
    await expect(createWorkloadProofToken(svid, { audience: '', clock })).rejects.toThrow('audience');
    await expect(
      createWorkloadProofToken(svid, { audience: 'a', clock, lifetimeSeconds: 0 }),
    ).rejects.toThrow('lifetime');
  });

  it('is refused 10,000 times when something in it was changed, in bounded time', async () => {
    const token = await createWorkloadProofToken(svid, { audience: AUDIENCE, clock });
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+ {"\u00e9';
    const started = performance.now();
    for (let round = 0; round < 10_000; round += 1) {
      const at = (round * 7919) % token.length;
      const character = alphabet[round % alphabet.length] ?? '';
      const changed =
        round % 10 === 0
          ? token.slice(0, at)
          : token.slice(0, at) + (token[at] === character ? '' : character) + token.slice(at + 1);
      const refusal: unknown = await verifyWorkloadProofToken(verification(changed)).catch(
        (error: unknown) => error,
      );
      expect(refusal).toBeInstanceOf(BonafideError);
    }
    expect(performance.now() - started).toBeLessThan(30_000);
  });
});

describe('MemoryReplayStore', () => {
  const sender = parseSpiffeId('spiffe://example.org/web');
  const other = parseSpiffeId('spiffe://example.org/other');

  it('lets each use of each sender pass once, until it would be refused anyway', async () => {
    const fake = new FakeClock();
    const store = new MemoryReplayStore({ clock: fake });
    const until = addSeconds(fake.now(), 60);
    expect(store.claim({ sender, id: 'a', until })).toBe(true);
    expect(store.claim({ sender, id: 'a', until })).toBe(false);
    expect(store.claim({ sender: other, id: 'a', until })).toBe(true);
    expect(store.claim({ sender, id: 'b', until })).toBe(true);
    await fake.advance(60_000);
    expect(store.claim({ sender, id: 'a', until })).toBe(false);
    await fake.advance(1_000);
    expect(store.claim({ sender, id: 'c', until: addSeconds(fake.now(), 60) })).toBe(true);
    expect(store.size).toBe(1);
    expect(store.claim({ sender, id: 'a', until })).toBe(false); // forgotten, and therefore refused
  });

  it('refuses when it is full, for one sender before all of them, and recovers', async () => {
    const fake = new FakeClock();
    const store = new MemoryReplayStore({ clock: fake, capacity: 4, capacityPerSender: 3 });
    const until = addSeconds(fake.now(), 10);
    for (const id of ['a', 'b', 'c']) expect(store.claim({ sender, id, until })).toBe(true);
    expect(() => store.claim({ sender, id: 'd', until })).toThrow(`of ${sender}`);
    expect(store.claim({ sender: other, id: 'a', until })).toBe(true);
    expect(() => store.claim({ sender: other, id: 'b', until })).toThrow('too many proofs are remembered');
    await fake.advance(11_000);
    expect(store.claim({ sender, id: 'd', until: addSeconds(fake.now(), 10) })).toBe(true);
    expect(store.size).toBe(1);
  });

  it('is asked for a plain yes, and refuses what has no end', async () => {
    const use = { sender, id: 'a', until: addSeconds(now, 60) };
    const sloppy = { claim: () => JSON.parse('"yes"') as boolean };
    await expect(claimOnce(sloppy, use)).rejects.toMatchObject({ reason: 'unauthenticated' });
    expect(new MemoryReplayStore().claim({ ...use, until: new Date(NaN) })).toBe(false);
    expect(() => new MemoryReplayStore({ capacity: 0 })).toThrow('capacity');
  });
});
