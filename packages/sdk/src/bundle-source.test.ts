/** BundleSource against a Workload API on a real Unix socket that offers all profiles, some, or none. */
import { once } from 'node:events';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { jwkSets, TestTokenApi } from '@bonafide/testing/test-token-api';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BundleSource, type BundleSourceOptions } from './bundle-source.js';
import { verifyJwtSvid } from './verify-jwt-svid.js';

const QUICK = { initialMs: 10, maximumMs: 50 };
const OURS = parseTrustDomain('example.org');
const THEIRS = parseTrustDomain('foreign.test');

const tokens = TestTokenAuthority.create('example.org');
const foreignTokens = TestTokenAuthority.create('foreign.test', 'RS256');
let authority: TestAuthority;
let foreign: TestAuthority;
let directory: TemporaryDirectory;
let api: TestTokenApi;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  foreign = await TestAuthority.create('foreign.test');
});

beforeEach(async () => {
  directory = createTemporaryDirectory();
  api = await TestTokenApi.start(join(directory.path, 'api.sock'));
});

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await api.stop();
  directory.remove();
});

function giveX509(...authorities: readonly TestAuthority[]): void {
  api.answer('FetchX509Bundles', {
    bundles: Object.fromEntries(
      authorities.map(({ trustDomain, certificate }) => [`spiffe://${trustDomain}`, certificate]),
    ),
  });
}

function giveJwt(...authorities: readonly TestTokenAuthority[]): void {
  const sets = Object.entries(jwkSets(...authorities)).map(([id, text]) => [id, Buffer.from(text)] as const);
  api.answer('FetchJWTBundles', { bundles: Object.fromEntries(sets) });
}

function giveWit(...authorities: readonly TestTokenAuthority[]): void {
  api.answer('FetchWITBundles', { bundles: jwkSets(...authorities) });
}

async function create(options: BundleSourceOptions = {}): Promise<BundleSource> {
  const source = await BundleSource.create({
    address: api.address,
    backoff: QUICK,
    timeoutMs: 10_000,
    ...options,
  });
  closers.push(() => source.close());
  return source;
}

describe('BundleSource', () => {
  it('holds the keys of every profile by trust domain, and follows each of them', async () => {
    giveX509(authority);
    giveJwt(tokens);
    giveWit(tokens);
    const source = await create();
    expect([...source.bundles.keys()]).toEqual([OURS]);
    const before = source.bundleOf(OURS);
    expect(before.x509Authorities).toEqual([authority.certificate]);
    expect(before.jwtAuthorities.map(({ keyId }) => keyId)).toEqual([tokens.keyId]);
    expect(before.witAuthorities.map(({ keyId }) => keyId)).toEqual([tokens.keyId]);
    const updated = once(source, 'update');
    giveX509(authority, foreign);
    await updated;
    expect([...source.bundles.keys()]).toEqual([OURS, THEIRS]);
    expect(source.bundleOf(THEIRS)).toEqual({
      trustDomain: THEIRS,
      x509Authorities: [foreign.certificate],
      jwtAuthorities: [],
      witAuthorities: [],
    });
    const again = once(source, 'update');
    giveX509(authority);
    await again;
    expect([...source.bundles.keys()]).toEqual([OURS]); // absence is redaction
    expect(() => source.bundleOf(THEIRS)).toThrow('no bundle of trust domain foreign.test');
  });

  it('verifies tokens of our trust domain and of federated ones by the bundle of their own', async () => {
    giveX509(authority);
    giveWit(tokens);
    giveJwt(tokens, foreignTokens);
    const source = await create();
    for (const each of [tokens, foreignTokens]) {
      const { token } = await each.issueJwtSvid('/web', ['reports']);
      expect((await verifyJwtSvid(source, token, 'reports')).spiffeId).toBe(
        `spiffe://${each.trustDomain}/web`,
      );
    }
    const unknown = await TestTokenAuthority.create('unknown.test').issueJwtSvid('/web', ['reports']);
    await expect(verifyJwtSvid(source, unknown.token, 'reports')).rejects.toMatchObject({
      reason: 'unauthenticated',
    });
    const updated = once(source, 'update');
    giveJwt(tokens);
    await updated;
    const { token } = await foreignTokens.issueJwtSvid('/web', ['reports']);
    await expect(verifyJwtSvid(source, token, 'reports')).rejects.toMatchObject({
      reason: 'unauthenticated',
    });
  });

  it('does without a profile that is not offered, unless it was asked for by name', async () => {
    giveX509(authority);
    giveJwt(tokens);
    api.refuse('FetchWITBundles', status.UNIMPLEMENTED);
    const source = await create();
    expect(source.bundleOf(OURS).witAuthorities).toEqual([]);
    const updated = once(source, 'update');
    giveX509(authority, foreign);
    await updated;
    expect(source.bundles.size).toBe(2);
    await expect(create({ profiles: ['x509', 'wit'] })).rejects.toMatchObject({ reason: 'unimplemented' });
    await expect(create({ profiles: [] })).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('ends when no profile is offered', async () => {
    for (const method of ['FetchX509Bundles', 'FetchJWTBundles', 'FetchWITBundles'] as const) {
      api.refuse(method, status.UNIMPLEMENTED);
    }
    await expect(create()).rejects.toMatchObject({ reason: 'unimplemented' });
  });

  it('follows the profiles that are asked for, and no other', async () => {
    giveX509(authority);
    const source = await create({ profiles: ['x509'] });
    expect(source.bundleOf(OURS).x509Authorities).toHaveLength(1);
    expect(api.calls.map(({ method }) => method)).toEqual(['FetchX509Bundles']);
    expect(api.calls[0]?.header).toBe('true');
  });

  it('drops what is no longer granted, keeps the rest, and keeps all while the endpoint is away', async () => {
    giveX509(authority);
    giveJwt(tokens);
    giveWit(tokens);
    const source = await create();
    const denied = once(source, 'denied');
    api.refuse('FetchJWTBundles', status.PERMISSION_DENIED, 'not any more');
    await denied;
    expect(source.bundleOf(OURS).jwtAuthorities).toEqual([]);
    expect(source.bundleOf(OURS).x509Authorities).toHaveLength(1);
    const gone = once(source, 'disconnect');
    await api.stop();
    await gone;
    expect(source.bundleOf(OURS).x509Authorities).toHaveLength(1);
    giveJwt(tokens);
    await api.start();
    await waitFor('the keys to be back', () => source.bundleOf(OURS).jwtAuthorities.length === 1);
  });

  it('gives nothing after close', async () => {
    giveX509(authority);
    const source = await create({ profiles: ['x509'] });
    const closed = once(source, 'close');
    await source.close();
    await closed;
    expect(source.bundles.size).toBe(0);
    expect(() => source.bundleOf(OURS)).toThrow('closed');
  });
});
