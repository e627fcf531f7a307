/** JwtSource, WitSource and the client's JWT and WIT calls, against a Workload API on a real Unix socket. */
import { once } from 'node:events';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { jwkSets, jwtResponse, TestTokenApi, witResponse } from '@bonafide/testing/test-token-api';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JwtSource, type JwtSourceOptions } from './jwt-source.js';
import { WitSource, type WitSourceOptions } from './wit-source.js';
import { WorkloadApiClient } from './workload-api/workload-api-client.js';

const QUICK = { initialMs: 10, maximumMs: 50 };
const BILLING = 'spiffe://example.org/billing';

const authority = TestTokenAuthority.create('example.org');
const foreign = TestTokenAuthority.create('foreign.test', 'RS256');
let directory: TemporaryDirectory;
let api: TestTokenApi;
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  directory = createTemporaryDirectory();
  api = await TestTokenApi.start(join(directory.path, 'api.sock'));
  trust(authority, foreign);
});

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await api.stop();
  directory.remove();
});

function trust(...authorities: readonly TestTokenAuthority[]): void {
  const bundles = jwkSets(...authorities);
  const bytes = Object.entries(bundles).map(([id, text]) => [id, Buffer.from(text)] as const);
  api.answer('FetchJWTBundles', { bundles: Object.fromEntries(bytes) });
  api.answer('FetchWITBundles', { bundles });
}

async function createJwtSource(options: JwtSourceOptions = {}): Promise<JwtSource> {
  const source = await JwtSource.create({
    address: api.address,
    backoff: QUICK,
    timeoutMs: 5_000,
    ...options,
  });
  closers.push(() => source.close());
  return source;
}

async function createWitSource(options: WitSourceOptions = {}): Promise<WitSource> {
  const source = await WitSource.create({
    address: api.address,
    backoff: QUICK,
    timeoutMs: 5_000,
    ...options,
  });
  closers.push(() => source.close());
  return source;
}

function createClient(): WorkloadApiClient {
  const client = new WorkloadApiClient({ address: api.address, backoff: QUICK });
  closers.push(() => {
    client.close();
  });
  return client;
}

function fetches(): number {
  return api.calls.filter(({ method }) => method === 'FetchJWTSVID').length;
}

describe('WorkloadApiClient', () => {
  it('fetches JWT-SVIDs for an audience and an identity, with the security header', async () => {
    const web = await authority.issueJwtSvid('/web', [BILLING], { hint: 'internal' });
    const other = await authority.issueJwtSvid('/other', [BILLING], { hint: 'internal' });
    api.answer('FetchJWTSVID', jwtResponse(web, other));
    const svids = await createClient().fetchJwtSvids(BILLING, { spiffeId: web.spiffeId });
    expect(svids.map(({ spiffeId }) => spiffeId)).toEqual([web.spiffeId]); // a hint that comes twice counts once
    expect(svids[0]).toMatchObject({ token: web.token, audience: [BILLING], keyId: authority.keyId });
    expect(api.calls[0]).toEqual({
      method: 'FetchJWTSVID',
      request: { audience: [BILLING], spiffeId: web.spiffeId },
      header: 'true',
    });
  });

  it.each([[[]], [''], [['a', '']]])('refuses the audience %j without a call', async (audience) => {
    await expect(createClient().fetchJwtSvids(audience)).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
    expect(api.calls).toEqual([]);
  });

  it.each([
    ['no SVID', { svids: [] }],
    ['no token', { svids: [{ spiffeId: 'spiffe://example.org/web', svid: '' }] }],
    ['what is no token', { svids: [{ spiffeId: 'spiffe://example.org/web', svid: 'a.b.c' }] }],
  ])('refuses an answer with %s', async (_name, answer) => {
    api.answer('FetchJWTSVID', answer);
    await expect(createClient().fetchJwtSvids(BILLING)).rejects.toMatchObject({ reason: 'internal' });
  });

  it('refuses a JWT-SVID of another identity than the answer says', async () => {
    const { token } = await authority.issueJwtSvid('/web', [BILLING]);
    api.answer('FetchJWTSVID', { svids: [{ spiffeId: 'spiffe://example.org/admin', svid: token }] });
    await expect(createClient().fetchJwtSvid(BILLING)).rejects.toThrow(
      'the token is of spiffe://example.org/web',
    );
  });

  it('has a token validated, and gives its claims', async () => {
    api.answer('ValidateJWTSVID', {
      spiffeId: 'spiffe://example.org/web',
      claims: {
        fields: {
          aud: { listValue: { values: [{ stringValue: BILLING }] } },
          exp: { numberValue: 12 },
          nested: { structValue: { fields: { yes: { boolValue: true } } } },
        },
      },
    });
    expect(await createClient().validateJwtSvid('a.b.c', BILLING)).toEqual({
      spiffeId: 'spiffe://example.org/web',
      claims: { aud: [BILLING], exp: 12, nested: { yes: true } },
    });
    api.refuse('ValidateJWTSVID', status.INVALID_ARGUMENT, 'the token has expired');
    await expect(createClient().validateJwtSvid('a.b.c', BILLING)).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: 'the token has expired',
    });
  });

  it('fetches WIT-SVIDs of one identity, and bundles', async () => {
    const svid = await authority.issueWitSvid('/web');
    api.answer('FetchWITSVID', witResponse(svid));
    const client = createClient();
    const [fetched] = await client.fetchWitSvids({ spiffeId: svid.spiffeId });
    expect(fetched.privateKey.equals(svid.privateKey)).toBe(true);
    expect(api.calls[0]?.request).toEqual({ spiffeId: svid.spiffeId });
    expect([...(await client.fetchWitBundles()).keys()].sort()).toEqual(['example.org', 'foreign.test']);
    expect([...(await client.fetchJwtBundles()).keys()].sort()).toEqual(['example.org', 'foreign.test']);
  });

  it.each([
    '',
    '{}',
    '{"keys":[{"kty":"RSA","n":"AA"}]}',
    '{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"a"}]}',
  ])('refuses the bundle %j', async (text) => {
    api.answer('FetchWITBundles', { bundles: { 'spiffe://example.org': text } });
    await expect(createClient().fetchWitBundles()).rejects.toMatchObject({ reason: 'internal' });
  });
});

describe('JwtSource', () => {
  it('keeps a token until half of its life is over, for each audience and identity', async () => {
    const clock = new FakeClock();
    const source = await createJwtSource({ clock });
    api.answer('FetchJWTSVID', async () =>
      jwtResponse(await authority.issueJwtSvid('/web', [BILLING], { now: clock.now(), ttlSeconds: 100 })),
    );
    const [first, same] = await Promise.all([source.fetch(BILLING), source.fetch(BILLING)]);
    expect(same).toBe(first);
    await clock.advance(49_000);
    expect(await source.fetch(BILLING)).toBe(first);
    expect(fetches()).toBe(1);
    await clock.advance(2_000);
    expect(await source.fetch(BILLING)).not.toBe(first);
    await source.fetch('another');
    await source.fetch(BILLING, { spiffeId: 'spiffe://example.org/web' });
    expect(fetches()).toBe(4);
  });

  it('uses a token while the Workload API is away, as long as it is valid', async () => {
    const clock = new FakeClock();
    const source = await createJwtSource({ clock });
    api.answer('FetchJWTSVID', async () =>
      jwtResponse(await authority.issueJwtSvid('/web', [BILLING], { now: clock.now(), ttlSeconds: 100 })),
    );
    const first = await source.fetch(BILLING);
    api.refuse('FetchJWTSVID', status.UNAVAILABLE);
    await clock.advance(80_000);
    expect(await source.fetch(BILLING)).toBe(first);
    await clock.advance(16_000);
    await expect(source.fetch(BILLING)).rejects.toMatchObject({ reason: 'unavailable' });
  });

  it('does not use a token that is no longer granted', async () => {
    const clock = new FakeClock();
    const source = await createJwtSource({ clock });
    api.answer('FetchJWTSVID', async () =>
      jwtResponse(await authority.issueJwtSvid('/web', [BILLING], { now: clock.now(), ttlSeconds: 100 })),
    );
    await source.fetch(BILLING);
    await clock.advance(60_000);
    api.refuse('FetchJWTSVID', status.PERMISSION_DENIED);
    await expect(source.fetch(BILLING)).rejects.toMatchObject({ reason: 'permission_denied' });
  });

  it('drops the tokens of an authority that leaves the bundle', async () => {
    const source = await createJwtSource();
    api.answer('FetchJWTSVID', jwtResponse(await authority.issueJwtSvid('/web', [BILLING])));
    await source.fetch(BILLING);
    const next = TestTokenAuthority.create('example.org');
    api.answer('FetchJWTSVID', jwtResponse(await next.issueJwtSvid('/web', [BILLING])));
    const updated = once(source, 'update');
    trust(next);
    await updated;
    expect((await source.fetch(BILLING)).keyId).toBe(next.keyId);
  });

  it('verifies by its bundles, for the audience alone, and of no other trust domain', async () => {
    const source = await createJwtSource();
    const { token } = await foreign.issueJwtSvid('/web', ['us']);
    expect((await source.verify(token, 'us')).spiffeId).toBe('spiffe://foreign.test/web');
    await expect(source.verify(token, 'others')).rejects.toMatchObject({ reason: 'unauthenticated' });
    const stranger = await TestTokenAuthority.create('stranger.test').issueJwtSvid('/web', ['us']);
    await expect(source.verify(stranger.token, 'us')).rejects.toThrow('no bundle is held');
    const updated = once(source, 'update');
    trust(authority);
    await updated;
    await expect(source.verify(token, 'us')).rejects.toThrow('no bundle is held');
  });

  it('picks by hint', async () => {
    const source = await createJwtSource({ hint: 'external' });
    const [internal, external] = await Promise.all([
      authority.issueJwtSvid('/internal', [BILLING], { hint: 'internal' }),
      authority.issueJwtSvid('/external', [BILLING], { hint: 'external' }),
    ]);
    api.answer('FetchJWTSVID', jwtResponse(internal, external));
    expect((await source.fetch(BILLING)).spiffeId).toBe('spiffe://example.org/external');
    api.answer('FetchJWTSVID', jwtResponse(internal));
    await expect(source.fetch('another')).rejects.toThrow('none of the identities');
  });

  it('drops everything when it is denied or closed', async () => {
    const source = await createJwtSource();
    const denied = once(source, 'denied');
    api.refuse('FetchJWTBundles', status.PERMISSION_DENIED, 'no identity issued');
    await denied;
    expect(source.bundles.size).toBe(0);
    await source.close();
    await expect(source.fetch(BILLING)).rejects.toMatchObject({ reason: 'failed_precondition' });
    await expect(source.verify('a.b.c', BILLING)).rejects.toMatchObject({ reason: 'failed_precondition' });
  });
});

describe('WitSource', () => {
  it('holds the SVID with its key and the bundles, and each update of them', async () => {
    api.answer('FetchWITSVID', witResponse(await authority.issueWitSvid('/web')));
    const source = await createWitSource();
    expect(source.svid.spiffeId).toBe('spiffe://example.org/web');
    expect([...source.bundles.keys()].sort()).toEqual(['example.org', 'foreign.test']);
    let updated = once(source, 'update');
    api.answer('FetchWITSVID', witResponse(await authority.issueWitSvid('/web/2')));
    await updated;
    expect(source.svid.spiffeId).toBe('spiffe://example.org/web/2');
    updated = once(source, 'update');
    trust(authority);
    await updated;
    expect([...source.bundles.keys()]).toEqual(['example.org']);
  });

  it('closes for good where WIT-SVIDs are not offered, and says so', async () => {
    api.refuse('FetchWITSVID', status.UNIMPLEMENTED);
    const error: unknown = await createWitSource().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ reason: 'unimplemented' });
    expect((error as BonafideError).message).toContain('does not offer WIT-SVIDs');
    expect(api.calls.filter(({ method }) => method === 'FetchWITSVID')).toHaveLength(1);
  });

  it('keeps what it holds while the Workload API is away, and follows it again', async () => {
    api.answer('FetchWITSVID', witResponse(await authority.issueWitSvid('/web')));
    const source = await createWitSource();
    const held = source.svid;
    const gone = once(source, 'disconnect');
    await api.stop();
    await gone;
    expect(source.svid).toBe(held);
    api.answer('FetchWITSVID', witResponse(await authority.issueWitSvid('/web/again')));
    await api.start();
    await waitFor('the new SVID', () => source.svid.spiffeId === 'spiffe://example.org/web/again');
  });

  it('drops the SVID when it is denied, and gives nothing after close', async () => {
    api.answer('FetchWITSVID', witResponse(await authority.issueWitSvid('/web')));
    const source = await createWitSource();
    const denied = once(source, 'denied');
    api.refuse('FetchWITSVID', status.PERMISSION_DENIED, 'no identity issued');
    await denied;
    expect(() => source.svid).toThrow('no identity issued');
    await source.close();
    expect(() => source.svid).toThrow('closed');
    expect(source.bundles.size).toBe(0);
  });

  it('refuses an SVID whose key is another, and keeps the last', async () => {
    const good = await authority.issueWitSvid('/web');
    api.answer('FetchWITSVID', witResponse(good));
    const source = await createWitSource();
    const told = once(source, 'disconnect');
    const other = await authority.issueWitSvid('/web');
    api.answer('FetchWITSVID', witResponse({ ...good, privateKey: other.privateKey }));
    const [error] = (await told) as [BonafideError];
    expect(error.message).toContain('does not belong to the token');
    expect(source.svid.token).toBe(good.token);
  });

  it('waits for the bundles too', async () => {
    api.answer('FetchWITSVID', witResponse(await authority.issueWitSvid('/web')));
    api.refuse('FetchWITBundles', status.UNAVAILABLE, 'not yet');
    await expect(createWitSource({ timeoutMs: 200 })).rejects.toThrow('no WIT-SVID within 200 ms: not yet');
  });
});
