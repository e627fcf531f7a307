import { setImmediate as nextTurn } from 'node:timers/promises';
import { credentials } from '@grpc/grpc-js';
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import { structFromProto } from '@bonafide/shared/rpc/codec/struct';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger, type Logger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestTokenAuthority } from '@bonafide/testing/test-token-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sampleBundle, sampleEntry, TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { JwtSvids } from '../token-svids/jwt-svids.js';
import { TokenServer } from '../token-svids/token-server-samples.js';
import { WitSvids } from '../token-svids/wit-svids.js';
import type { WorkloadApiPolicy } from '../workload-api/workload-api.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { attestorHost } from '../workload-attestation/attestor-host-samples.js';
import { createWorkloadAttestors, workloadAttestorsConfigSchema } from '../workload-attestation/attestors.js';
import type { WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { createWorkloadEndpoint } from './workload-endpoint.js';

const SELF = [`unix:uid:${process.geteuid?.() ?? -1}`];
const HEADER = { 'workload.spiffe.io': 'true' };
const STRICT: WorkloadApiPolicy = { allowsUnauthenticatedVerifiers: false, allowedForeignJwtClaims: [] };
const OTHER = parseTrustDomain('other.test');

let directory: TemporaryDirectory;
let server: TokenServer;
let cache: SvidCache;
let jwtSvids: JwtSvids;
let witSvids: WitSvids;
let warnings: string[];
const foreign = TestTokenAuthority.create('other.test');
const closers: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  directory = createTemporaryDirectory();
  warnings = [];
  const clock = systemClock;
  const log: Logger = Object.assign(Object.create(silentLogger) as Logger, {
    warn: (_fields: object, message: string) => void warnings.push(message),
  });
  const stopping = new AbortController();
  const common = { random: () => 0.5, clock, log };
  server = await TokenServer.create(clock);
  cache = new SvidCache({ trustDomain: TRUST_DOMAIN, clock, log, maximumSvids: 0 });
  jwtSvids = new JwtSvids({ cache, signer: server, maximumKept: 10, signal: stopping.signal, ...common });
  witSvids = new WitSvids({
    cache,
    signer: { sign: (requests) => server.signWits(requests) },
    keyType: 'ec-p256',
    ...common,
  });
  void witSvids.run(stopping.signal);
  closers.push(() => {
    stopping.abort();
  });
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  directory.remove();
});

/** The server's word. */
function tell(...entries: readonly RegistrationEntry[]): void {
  const other: TrustBundle = {
    ...sampleBundle('other.test'),
    jwtAuthorities: [foreign.authority],
    witAuthorities: [{ ...foreign.authority, keyId: 'wit' }],
  };
  cache.apply({ kind: 'snapshot', entries, bundles: [server.bundle(), other] });
  jwtSvids.review();
  witSvids.review();
}

async function serve(
  policy: WorkloadApiPolicy = STRICT,
  attest?: WorkloadAttestation,
): Promise<ServiceClient<'SpiffeWorkloadAPI'>> {
  const socketPath = directory.join('agent.sock');
  const log: Logger = Object.assign(Object.create(silentLogger) as Logger, {
    warn: (_fields: object, message: string) => void warnings.push(message),
  });
  const attestors = createWorkloadAttestors(
    workloadAttestorsConfigSchema.parse({ unix: {} }),
    attestorHost({ log }),
  );
  const endpoint = createWorkloadEndpoint({
    socketPath,
    identities: cache,
    jwtSvids,
    witSvids,
    policy,
    attest: attest ?? createWorkloadAttestation({ attestors, clock: systemClock, log }),
    clock: systemClock,
    log,
  });
  await endpoint.listen();
  closers.push(() => endpoint.close(0));
  const { Client } = loadService('SpiffeWorkloadAPI');
  const client = new Client(`unix://${socketPath}`, credentials.createInsecure());
  closers.push(() => {
    client.close();
  });
  return client;
}

type BundleMethod = 'FetchJWTBundles' | 'FetchWITBundles' | 'FetchX509Bundles';

async function bundlesOf(
  client: ServiceClient<'SpiffeWorkloadAPI'>,
  method: BundleMethod,
): Promise<Readonly<Record<string, string | Buffer>>> {
  for await (const { bundles } of openServerStream(client, method, {}, { metadata: HEADER })) return bundles;
  throw new Error('no answer');
}

function fetchJwt(client: ServiceClient<'SpiffeWorkloadAPI'>, spiffeId = '', audience = ['a']) {
  return callUnary(client, 'FetchJWTSVID', { audience, spiffeId }, { metadata: HEADER });
}

async function claimsOf(client: ServiceClient<'SpiffeWorkloadAPI'>, svid: string): Promise<object> {
  const request = { audience: 'a', svid };
  const { claims } = await callUnary(client, 'ValidateJWTSVID', request, { metadata: HEADER });
  return structFromProto(claims ?? { fields: {} });
}

describe('bundles of tokens', () => {
  it.each([
    ['FetchJWTBundles', 'jwt-svid', foreign.keyId],
    ['FetchWITBundles', 'wit-svid', 'wit'],
  ] as const)(
    'by %s are those of the trust domains that the entry federates with',
    async (method, use, keyId) => {
      const client = await serve();
      tell(sampleEntry('web', SELF));
      const stream = openServerStream(client, method, {}, { metadata: HEADER });
      const names = async (): Promise<readonly string[]> =>
        Object.keys((await stream.next()).value?.bundles ?? {});
      expect(await names()).toEqual(['spiffe://example.org']);
      tell(sampleEntry('web', SELF, { federatesWith: [OTHER], revisionNumber: 1 }));
      expect(await names()).toEqual(['spiffe://example.org', 'spiffe://other.test']);
      tell(sampleEntry('web', SELF, { revisionNumber: 2 }));
      expect(await names()).toEqual(['spiffe://example.org']);
      await stream.return(undefined);

      tell(sampleEntry('web', SELF, { federatesWith: [OTHER], revisionNumber: 3 }));
      const bundles = await bundlesOf(client, method);
      const keys = readJwkSet(Buffer.from(bundles['spiffe://other.test'] ?? ''), use);
      expect(keys).toEqual([{ ...foreign.authority, keyId }]);
    },
  );

  it.each(['FetchJWTBundles', 'FetchWITBundles', 'FetchX509Bundles'] as const)(
    'by %s are given to verifiers without identity where that is allowed, our own alone',
    async (method) => {
      const client = await serve({ ...STRICT, allowsUnauthenticatedVerifiers: true });
      tell(sampleEntry('web', ['unix:uid:4294967294'], { federatesWith: [OTHER] }));
      expect(Object.keys(await bundlesOf(client, method))).toEqual(['spiffe://example.org']);
      await expect(fetchJwt(client)).rejects.toMatchObject({ reason: 'permission_denied' });
      const svids = openServerStream(client, 'FetchWITSVID', {}, { metadata: HEADER });
      await expect(svids.next()).rejects.toMatchObject({ reason: 'permission_denied' });
    },
  );

  it.each(['FetchJWTBundles', 'FetchWITBundles', 'FetchX509Bundles'] as const)(
    'by %s are for those with an identity otherwise',
    async (method) => {
      const client = await serve();
      tell(sampleEntry('web', ['unix:uid:4294967294']));
      await expect(bundlesOf(client, method)).rejects.toMatchObject({ reason: 'permission_denied' });
    },
  );
});

describe('the claims of a token', () => {
  const claims = { team: 'billing', role: 'reader', iss: 'https://other.test' };

  it('of another trust domain are shown as far as the configuration allows, and the standard’s always', async () => {
    tell(sampleEntry('web', SELF, { federatesWith: [OTHER] }));
    const { token } = await foreign.issueJwtSvid('/x', ['a'], { claims });
    const strict = await claimsOf(await serve(), token);
    expect(Object.keys(strict).sort()).toEqual(['aud', 'exp', 'sub']);
    await closers.pop()?.();
    await closers.pop()?.();
    const client = await serve({ ...STRICT, allowedForeignJwtClaims: ['team', 'absent'] });
    expect(await claimsOf(client, token)).toEqual({ ...strict, team: 'billing' });
  });

  it('of our own trust domain are shown whole', async () => {
    tell(sampleEntry('web', SELF));
    const sub = 'spiffe://example.org/x';
    const token = await server.token({ typ: 'JWT' }, { ...claims, sub, aud: 'a' });
    expect(await claimsOf(await serve(), token)).toMatchObject({ ...claims, sub, aud: ['a'] });
  });

  it('of a trust domain that the caller does not federate with are not validated', async () => {
    tell(sampleEntry('web', SELF));
    const { token } = await foreign.issueJwtSvid('/x', ['a']);
    await expect(claimsOf(await serve(), token)).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining('no bundle is held for the trust domain other.test') as string,
    });
  });
});

describe('tokens of a caller with several identities', () => {
  const older = sampleEntry('a', SELF, { hint: 'internal' });
  const younger = sampleEntry('b', SELF, { hint: 'internal', createdAt: new Date('2031-01-01T00:00:00Z') });

  it('have no hint twice: the oldest keeps it, and the log tells once', async () => {
    const client = await serve();
    tell(younger, older, sampleEntry('c', SELF, { hint: 'external' }));
    const expected = [
      ['spiffe://example.org/a', 'internal'],
      ['spiffe://example.org/c', 'external'],
      ['spiffe://example.org/b', ''],
    ];
    for (let round = 0; round < 3; round += 1) {
      const { svids } = await fetchJwt(client);
      expect(svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual(expected);
    }
    const stream = openServerStream(client, 'FetchWITSVID', {}, { metadata: HEADER });
    const { value } = await stream.next();
    expect(value?.svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual(expected);
    await stream.return(undefined);
    expect(warnings).toEqual(['leaving out the hint of an identity: another one has it already']);
  });

  it('keep their hint when they are asked for alone', async () => {
    const client = await serve();
    tell(younger, older);
    const { svids } = await fetchJwt(client, 'spiffe://example.org/b');
    expect(svids.map(({ spiffeId, hint }) => [spiffeId, hint])).toEqual([
      ['spiffe://example.org/b', 'internal'],
    ]);
  });

  const ofOthers = { ...younger, selectors: [{ type: 'unix', value: 'uid:4294967294' }] };

  it.each([
    ['whose entry went', [older]],
    ['whose entry is for others now', [older, ofOthers]],
  ])('are not handed out for one %s while the server was asked', async (_name, next) => {
    const client = await serve();
    tell(older, younger);
    server.beforeAnswer = () => waitFor('the change', () => cache.entry('b') !== younger);
    const answer = fetchJwt(client);
    await waitFor('the server to be asked', () => server.requests.length === 2);
    tell(...next);
    expect((await answer).svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.org/a']);
  });

  it('are refused for audiences that no token could carry', async () => {
    const client = await serve();
    tell(older);
    const names = Array.from({ length: 17 }, (_, index) => `${index}`.padEnd(1024, 'x'));
    await expect(fetchJwt(client, '', names)).rejects.toMatchObject({
      reason: 'invalid_argument',
      message: expect.stringContaining('at most 16384 in all') as string,
    });
    expect(server.requests).toEqual([]);
  });
});

it('a call that ends before its malformed request was looked at takes nothing with it', async () => {
  let [begun, attested] = [0, 0];
  const client = await serve(STRICT, async (held, { signal }) => {
    begun += 1;
    await waitFor('the caller to hang up', () => signal.aborted);
    held.close();
    attested += 1;
    return [];
  });
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown): void => void rejections.push(reason);
  process.on('unhandledRejection', onRejection);
  closers.push(() => void process.off('unhandledRejection', onRejection));
  const end = new AbortController();
  const stream = openServerStream(
    client,
    'FetchWITSVID',
    { spiffeId: 'nonsense' },
    { metadata: HEADER, signal: end.signal },
  );
  const ended = expect(stream.next()).rejects.toMatchObject({ reason: 'cancelled' });
  await waitFor('the caller to be looked at', () => begun === 1);
  end.abort();
  await ended;
  await waitFor('the call to end', () => attested === 1);
  // A rejection that nobody handles is told at the end of its turn.
  await nextTurn();
  expect(rejections).toEqual([]);
});
