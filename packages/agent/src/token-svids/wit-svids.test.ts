import { createPublicKey } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleEntry, TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { TokenServer } from './token-server-samples.js';
import { WitSvids } from './wit-svids.js';
import type { WitIdentity, WitWatch } from './wit-watch.js';

const WEB = sampleEntry('web', ['unix:uid:1']);
const DB = sampleEntry('db', ['unix:uid:1']);

let clock: FakeClock;
let server: TokenServer;
let cache: SvidCache;
let witSvids: WitSvids;
let stopping: AbortController;

beforeEach(async () => {
  clock = new FakeClock();
  server = await TokenServer.create(clock);
  cache = new SvidCache({ trustDomain: TRUST_DOMAIN, clock, log: silentLogger, maximumSvids: 0 });
  witSvids = new WitSvids({
    cache,
    signer: { sign: (requests) => server.signWits(requests) },
    keyType: 'ec-p256',
    random: () => 0.5,
    clock,
    log: silentLogger,
  });
  tell([WEB, DB]);
  stopping = new AbortController();
  void witSvids.run(stopping.signal);
});
afterEach(() => {
  stopping.abort();
});

/** The server's word. */
function tell(entries: readonly RegistrationEntry[], bundle: TrustBundle = server.bundle()): void {
  cache.apply({ kind: 'snapshot', entries, bundles: [bundle] });
  witSvids.review();
}

interface Stream {
  readonly watch: WitWatch;
  readonly updates: (readonly WitIdentity[])[];
  readonly failures: BonafideError[];
}

function open(...entries: readonly RegistrationEntry[]): Stream {
  const updates: (readonly WitIdentity[])[] = [];
  const failures: BonafideError[] = [];
  const watch = witSvids.watch({
    update: (svids) => updates.push(svids),
    fail: (error) => failures.push(error),
  });
  watch.set(entries);
  return { watch, updates, failures };
}

function tokens({ updates }: Stream): readonly string[] {
  return updates.at(-1)?.map(({ svid }) => svid.token) ?? [];
}

describe('WitSvids', () => {
  it('obtains nothing before somebody asks, then for all that ask at once', async () => {
    await clock.advance(60_000);
    expect(server.witBatches).toEqual([]);
    const streams = Array.from({ length: 100 }, () => open(WEB, DB));
    await waitFor('the updates', () => streams.every(({ updates }) => updates.length === 1));
    expect(server.witBatches).toEqual([['web', 'db']]);
    const [identity] = streams[0]?.updates[0] ?? [];
    if (identity === undefined) throw new Error('no identity');
    const verified = await verifyWitSvid({
      token: identity.svid.token,
      bundle: () => server.bundle(),
      now: clock.now(),
    });
    expect(verified.spiffeId).toBe(WEB.spiffeId);
    expect(verified.confirmationKey.equals(createPublicKey(identity.svid.privateKey))).toBe(true);
  });

  it('renews around half life with another key, and tells those who watch', async () => {
    const stream = open(WEB);
    await waitFor('the first', () => stream.updates.length === 1);
    await clock.advance(151_000);
    await waitFor('the second', () => stream.updates.length === 2);
    const [first, second] = stream.updates.map(([identity]) => identity?.svid);
    expect(second?.token).not.toBe(first?.token);
    expect(second?.privateKey.equals(first?.privateKey as never)).toBe(false);
  });

  it('goes on with what there is while the server is away, until it expires', async () => {
    const stream = open(WEB);
    await waitFor('the first', () => stream.updates.length === 1);
    server.failure = new BonafideError('unavailable', 'away');
    await clock.advance(290_000);
    expect(stream.updates).toHaveLength(1);
    await clock.advance(11_000);
    expect(tokens(stream)).toEqual([]);
    expect(stream.updates).toHaveLength(2);
    server.failure = undefined;
    await clock.advance(60_000);
    await waitFor('another', () => tokens(stream).length === 1);
  });

  it('replaces at once what a tainted key signed, and leaves it in use meanwhile', async () => {
    const stream = open(WEB);
    await waitFor('the first', () => stream.updates.length === 1);
    const tainted = server.authority({ isTainted: true });
    server.keyId = 'key-2';
    tell([WEB, DB], server.bundle('example.org', tainted, server.authority()));
    await waitFor('the second', () => stream.updates.length === 2);
    expect(stream.updates.map((update) => update.map(({ svid }) => svid.keyId))).toEqual([
      ['key-1'],
      ['key-2'],
    ]);
  });

  it('withdraws at once what a key signed that is in the bundle no more', async () => {
    const stream = open(WEB);
    await waitFor('the first', () => stream.updates.length === 1);
    server.keyId = 'key-2';
    tell([WEB, DB]);
    expect(tokens(stream)).toEqual([]);
    await waitFor('another', () => tokens(stream).length === 1);
  });

  it('keeps what nobody watches for a while, then drops it', async () => {
    server.lifetimeSeconds = 86_400;
    const stream = open(WEB);
    await waitFor('the first', () => stream.updates.length === 1);
    stream.watch.close();
    await clock.advance(500_000);
    const again = open(WEB);
    expect(tokens(again)).toEqual(tokens(stream));
    again.watch.close();
    await clock.advance(601_000);
    expect(witSvids.svid('web')).toBeUndefined();
    expect(server.witBatches).toHaveLength(1);
    await clock.advance(86_400_000);
    expect(server.witBatches).toHaveLength(1);
  });

  it('drops what its entry grants no more, watched or not', async () => {
    const stream = open(WEB, DB);
    await waitFor('the first', () => stream.updates.length === 1);
    stream.watch.set([DB]);
    tell([DB]);
    expect(stream.updates.at(-1)?.map(({ entry }) => entry.id)).toEqual(['db']);
    expect(witSvids.svid('web')).toBeUndefined();
  });

  it('says so when the server has no WIT-SVIDs', async () => {
    server.failure = new BonafideError('unimplemented', 'no such method');
    const stream = open(WEB);
    await waitFor('the failure', () => stream.failures.length > 0);
    expect(stream.failures[0]).toMatchObject({ reason: 'unimplemented' });
    const next = open(WEB);
    expect(next.failures[0]).toMatchObject({ reason: 'unimplemented' });
    stream.watch.close();
    next.watch.close();
    await clock.advance(601_000);
    server.failure = undefined;
    const later = open(WEB);
    // The attempt before may have ended only now, and rests for a while.
    await waitFor('what the server has by now', async () => {
      await clock.advance(1_000);
      return later.updates.length > 0;
    });
    expect(later.failures).toEqual([]);
  });

  it.each([
    ['of another identity', { sub: 'spiffe://example.org/admin' }],
    ['that has expired', { exp: 1_000_000_000 }],
    ['with an audience', { aud: ['a'] }],
    ['without a key', { cnf: undefined }],
  ])('does not hand out a token %s', async (_name, claims) => {
    server.claims = claims;
    const stream = open(WEB);
    await waitFor('the attempt', () => server.witBatches.length > 0);
    await clock.advance(1_000);
    expect(stream.updates).toEqual([]);
    expect(witSvids.svid('web')).toBeUndefined();
  });

  it('does not hand out a token for another key', async () => {
    const other = open(DB);
    await waitFor('the other', () => other.updates.length === 1);
    const { svid } = other.updates[0]?.[0] ?? {};
    if (svid === undefined) throw new Error('no SVID');
    const { cnf } = JSON.parse(Buffer.from(svid.token.split('.')[1] ?? '', 'base64url').toString()) as {
      cnf: object;
    };
    server.claims = { cnf };
    const stream = open(WEB);
    await waitFor('the attempt', () => server.witBatches.length === 2);
    await clock.advance(1_000);
    expect(stream.updates).toEqual([]);
  });
});
