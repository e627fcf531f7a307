import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { beforeEach, describe, expect, it } from 'vitest';
import { sampleEntry, TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { JwtSvids } from './jwt-svids.js';
import { TokenServer } from './token-server-samples.js';

const WEB = sampleEntry('web', ['unix:uid:1'], { hint: 'internal' });
const DB = sampleEntry('db', ['unix:uid:2']);
const AWAY = new BonafideError('unavailable', 'the server is away');

let clock: FakeClock;
let server: TokenServer;
let cache: SvidCache;
let jwtSvids: JwtSvids;

beforeEach(async () => {
  clock = new FakeClock();
  server = await TokenServer.create(clock);
  cache = new SvidCache({ trustDomain: TRUST_DOMAIN, clock, log: silentLogger, maximumSvids: 0 });
  jwtSvids = create(10);
  tell([WEB, DB]);
});

function create(maximumKept: number): JwtSvids {
  const signal = new AbortController().signal;
  const random = (): number => 0.5;
  return new JwtSvids({ cache, signer: server, maximumKept, random, clock, log: silentLogger, signal });
}

/** The server's word. */
function tell(entries: readonly RegistrationEntry[], bundle: TrustBundle = server.bundle()): void {
  cache.apply({ kind: 'snapshot', entries, bundles: [bundle] });
  jwtSvids.review();
}

function fetch(...audience: readonly string[]): Promise<JwtSvid> {
  const entry = cache.entry('web');
  if (entry === undefined) throw new Error('the entry has gone');
  return jwtSvids.fetch(entry, audience);
}

/** Lets time pass as long as it takes; tokens are verified on the thread pool meanwhile. @returns how long, in milliseconds. */
async function passUntil(settled: Promise<unknown>): Promise<number> {
  let isSettled = false;
  const noteIt = (): void => {
    isSettled = true;
  };
  void settled.then(noteIt, noteIt);
  const began = clock.monotonicMs();
  await waitFor(
    'the promise to settle',
    async () => {
      await clock.advance(100);
      return isSettled;
    },
    { intervalMs: 1 },
  );
  return clock.monotonicMs() - began;
}

describe('JwtSvids', () => {
  it('hands out a verified token with its entry’s hint, and the same again', async () => {
    const svid = await fetch('a', 'b');
    expect(svid).toMatchObject({ spiffeId: WEB.spiffeId, audience: ['a', 'b'], hint: 'internal' });
    expect(await fetch('b', 'a', 'b')).toBe(svid);
    expect(server.requests).toEqual([{ entryId: 'web', audience: ['a', 'b'] }]);
    expect((await fetch('a')).audience).toEqual(['a']);
    expect((await jwtSvids.fetch(DB, ['a'])).spiffeId).toBe(DB.spiffeId);
    expect(server.requests).toHaveLength(3);
  });

  it('asks the server once for a thousand callers who want the same', async () => {
    const svids = await Promise.all(Array.from({ length: 1000 }, () => fetch('a')));
    expect(new Set(svids).size).toBe(1);
    expect(server.requests).toHaveLength(1);
    await clock.advance(151_000);
    await Promise.all(Array.from({ length: 1000 }, () => fetch('a')));
    expect(server.requests).toHaveLength(2);
  });

  it('asks for a newer one at the next call after half a life', async () => {
    const first = await fetch('a');
    await clock.advance(149_000);
    expect(await fetch('a')).toBe(first);
    await clock.advance(2_000);
    expect(server.requests).toHaveLength(1);
    expect(await fetch('a')).not.toBe(first);
    expect(server.requests).toHaveLength(2);
  });

  it('hands out the present one while the server is away, as long as a quarter of its life is left', async () => {
    const first = await fetch('a');
    server.failure = AWAY;
    await clock.advance(160_000);
    expect(await fetch('a')).toBe(first);
    expect(await fetch('a')).toBe(first);
    expect(server.requests).toHaveLength(2); // and leaves the server alone for a while
    await clock.advance(64_000);
    expect(await fetch('a')).toBe(first);
    expect(server.requests).toHaveLength(3);
    await clock.advance(2_000);
    await expect(fetch('a')).rejects.toBe(AWAY);
    server.failure = undefined;
    expect(await fetch('a')).not.toBe(first);
  });

  it('does not let callers wait long for a server that says nothing while there is one that will do', async () => {
    const first = await fetch('a');
    let answer: () => void = () => undefined;
    server.beforeAnswer = () =>
      new Promise<void>((resolve) => {
        answer = resolve;
      });
    await clock.advance(160_000);
    const waiting = fetch('a');
    await clock.advance(2_000);
    expect(await waiting).toBe(first);
    answer();
    await waitFor('the late answer', async () => (await fetch('a')) !== first);
    expect(server.requests).toHaveLength(2);
  });

  it.each([
    ['says nothing', () => new Promise(() => undefined)],
    ['fails', () => Promise.reject(AWAY)],
  ])('does not hand out what a stolen key signed when the server %s meanwhile', async (_name, silence) => {
    const first = await fetch('a');
    await clock.advance(160_000);
    let isAsked = false;
    let goOn: () => void = () => undefined;
    const taken = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    server.beforeAnswer = async () => {
      isAsked = true;
      await taken;
      await silence();
    };
    const waiting = fetch('a').then(
      (svid) => svid.token,
      () => 'none',
    );
    await waitFor('the request', () => isAsked);
    tell([WEB, DB], server.bundle('example.org', server.authority({ isTainted: true })));
    goOn();
    await clock.advance(3_000);
    const handedOut = await Promise.race([waiting, clock.advance(1_000).then(() => 'nothing yet')]);
    expect(handedOut).not.toBe(first.token);
  });

  it('fails when the server is away and there is nothing to hand out', async () => {
    server.failure = AWAY;
    await expect(fetch('a')).rejects.toBe(AWAY);
    expect(jwtSvids.size).toBe(0);
  });

  it('does not hand out what is kept once the server has refused another', async () => {
    await fetch('a');
    await clock.advance(160_000);
    server.failure = new BonafideError('permission_denied', 'the entry is not yours');
    await expect(fetch('a')).rejects.toMatchObject({ reason: 'permission_denied' });
    expect(jwtSvids.size).toBe(0);
  });

  it('goes by the time that passes when the clock is set back, and by the clock when the machine slept', async () => {
    const first = await fetch('a');
    clock.jumpWallClock(-3600_000);
    await clock.advance(151_000);
    const second = await fetch('a');
    expect(second).not.toBe(first);
    clock.jumpWallClock(151_000);
    expect(await fetch('a')).not.toBe(second);
  });

  it('forgets the tokens of an entry that changed or went', async () => {
    const first = await fetch('a');
    tell([{ ...WEB, revisionNumber: 1, jwtSvidTtlSeconds: 60 }]);
    expect(jwtSvids.size).toBe(0);
    expect(await fetch('a')).not.toBe(first);
    tell([DB]);
    expect(jwtSvids.size).toBe(0);
  });

  it.each([
    ['is tainted', () => server.bundle('example.org', server.authority({ isTainted: true }))],
    ['has left the bundle', () => server.bundle('example.org', server.authority({ keyId: 'key-2' }))],
  ])('forgets the tokens of a key that %s, at once', async (_name, bundle) => {
    await fetch('a');
    tell([WEB, DB], bundle());
    expect(jwtSvids.size).toBe(0);
  });

  it('keeps what is used, and no more than it may', async () => {
    jwtSvids = create(2);
    const a = await fetch('a');
    await fetch('b');
    expect(await fetch('a')).toBe(a);
    await fetch('c');
    expect(jwtSvids.size).toBe(2);
    expect(await fetch('a')).toBe(a);
    expect(server.requests).toHaveLength(3);
  });

  it('waits for a key that is on its way, and not for ever', async () => {
    server.keyId = 'key-2';
    const waiting = fetch('a');
    await waitFor('the request', () => server.requests.length === 1);
    await clock.advance(1_000);
    cache.apply({ kind: 'snapshot', entries: [WEB], bundles: [server.bundle()] });
    await passUntil(waiting);
    expect((await waiting).keyId).toBe('key-2');
    server.keyId = 'key-3';
    const refused = expect(fetch('b')).rejects.toMatchObject({
      reason: 'internal',
      message: expect.stringContaining('has no ES256 key "key-3"') as string,
    });
    expect(await passUntil(refused)).toBeGreaterThan(5_000);
    await refused;
  });

  it.each([
    ['of another identity', { sub: 'spiffe://example.org/admin' }, {}, 'issued spiffe://example.org/admin'],
    ['with another audience besides', { aud: ['a', 'bank'] }, {}, 'for another audience'],
    ['for another audience', { aud: ['bank'] }, {}, 'not for the audience'],
    ['that has expired', { exp: 1_000_000_000 }, {}, 'has expired'],
    ['that never expires', { exp: undefined }, {}, 'no expiry'],
    ['of another trust domain', { sub: 'spiffe://other.test/web' }, {}, 'no bundle is held'],
    ['without a signature', {}, { alg: 'none' }, 'not one that SVIDs may have'],
    ['of another type', {}, { typ: 'at+jwt' }, 'neither JWT nor JOSE'],
  ])('does not hand out a token %s', async (_name, claims, header, message) => {
    server.claims = claims;
    server.header = header;
    await expect(fetch('a')).rejects.toMatchObject({
      reason: 'internal',
      message: expect.stringContaining(message) as string,
    });
    expect(jwtSvids.size).toBe(0);
  });
});
