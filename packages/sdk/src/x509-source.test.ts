/** X509Source and WorkloadApiClient against a Workload API on a real Unix socket. */
import { once } from 'node:events';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { X509SVIDResponse } from '@bonafide/shared/rpc/gen/X509SVIDResponse';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi, toResponse } from '@bonafide/testing/test-workload-api';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WorkloadApiClient } from './workload-api/workload-api-client.js';
import { X509Source, type X509SourceOptions } from './x509-source.js';

const QUICK = { initialMs: 10, maximumMs: 50 };

let authority: TestAuthority;
let foreign: TestAuthority;
let directory: TemporaryDirectory;
let api: TestWorkloadApi;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  foreign = await TestAuthority.create('foreign.test');
});

beforeEach(async () => {
  directory = createTemporaryDirectory();
  api = await TestWorkloadApi.start(join(directory.path, 'api.sock'));
});

afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  await api.stop();
  directory.remove();
});

async function createSource(options: X509SourceOptions = {}): Promise<X509Source> {
  const source = await X509Source.create({
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

async function grant(path: string, ...also: readonly TestAuthority[]): Promise<void> {
  const bundles = [authority, ...also].map((each) => each.bundle());
  api.serve({ svids: [await authority.issueX509Svid(path)], bundles });
}

describe('X509Source', () => {
  it('holds the SVID and the bundles, and each update of them', async () => {
    await grant('/web', foreign);
    const source = await createSource();
    expect(source.svid.spiffeId).toBe('spiffe://example.org/web');
    expect([...source.bundles.keys()].sort()).toEqual(['example.org', 'foreign.test']);
    const before = source.svid;
    const updated = once(source, 'update');
    await grant('/web');
    await updated;
    expect(source.svid).not.toBe(before);
    expect([...source.bundles.keys()]).toEqual(['example.org']); // absence is redaction
    expect(new Set(api.headers)).toEqual(new Set(['true']));
  });

  it('waits while the endpoint is not there, and while nothing is granted', async () => {
    await api.stop();
    const created = createSource();
    api.refuse(status.PERMISSION_DENIED, 'no identity issued');
    await api.start();
    await waitFor('the first refusal', () => api.headers.length >= 2);
    await grant('/web');
    expect((await created).svid.spiffeId).toBe('spiffe://example.org/web');
  });

  it('gives up waiting after the limit, and says what it waited for', async () => {
    api.refuse(status.PERMISSION_DENIED, 'no identity issued');
    await expect(createSource({ timeoutMs: 200 })).rejects.toThrow(
      'no X.509-SVID within 200 ms: no identity issued',
    );
    await waitFor('the stream to close', () => api.openStreams === 0);
  });

  it('stops waiting when the signal fires', async () => {
    const controller = new AbortController();
    const created = createSource({ signal: controller.signal });
    controller.abort();
    await expect(created).rejects.toMatchObject({ reason: 'cancelled' });
    await expect(createSource({ signal: AbortSignal.abort() })).rejects.toMatchObject({
      reason: 'cancelled',
    });
  });

  it.each([
    [status.INVALID_ARGUMENT, 'invalid_argument'],
    [status.UNIMPLEMENTED, 'unimplemented'],
  ])('does not retry status %s', async (code, reason) => {
    api.refuse(code);
    await expect(createSource()).rejects.toMatchObject({ reason });
    expect(api.headers).toHaveLength(1);
  });

  it('keeps the last SVID while the endpoint is away, and follows it again when it is back', async () => {
    await grant('/web');
    const source = await createSource();
    for (let round = 0; round < 3; round += 1) {
      const held = source.svid;
      const gone = once(source, 'disconnect');
      await api.stop();
      await gone;
      expect(source.svid).toBe(held);
      await grant(`/web/${round}`);
      const updated = once(source, 'update');
      await api.start();
      await updated;
      expect(source.svid.spiffeId).toBe(`spiffe://example.org/web/${round}`);
    }
  });

  it('drops what is no longer granted, until it is granted again', async () => {
    await grant('/web');
    const source = await createSource();
    const denied = once(source, 'denied');
    api.refuse(status.PERMISSION_DENIED, 'no identity issued');
    await denied;
    expect(() => source.svid).toThrow('no identity issued');
    expect(source.bundles.size).toBe(0);
    const updated = once(source, 'update');
    await grant('/web/again');
    await updated;
    expect(source.svid.spiffeId).toBe('spiffe://example.org/web/again');
  });

  it('picks by hint or by a function, and is denied when there is none to pick', async () => {
    const [internal, external, again] = await Promise.all([
      authority.issueX509Svid('/internal', { hint: 'internal' }),
      authority.issueX509Svid('/external', { hint: 'external' }),
      authority.issueX509Svid('/again', { hint: 'external' }),
    ]);
    api.serve({ svids: [internal, external, again], bundles: [authority.bundle()] });
    const byHint = await createSource({ hint: 'external' });
    expect(byHint.svid.spiffeId).toBe('spiffe://example.org/external');
    expect(byHint.svids.map(({ spiffeId }) => spiffeId)).toEqual([
      'spiffe://example.org/internal',
      'spiffe://example.org/external', // a hint that comes twice counts once
    ]);
    const byFunction = await createSource({ pick: (svids) => svids.at(-1) });
    expect(byFunction.svid.spiffeId).toBe('spiffe://example.org/external');
    await expect(createSource({ hint: 'other', timeoutMs: 100 })).rejects.toThrow('none of the SVIDs');
  });

  it('gives nothing after close, ends its stream, and closes once however often it is asked', async () => {
    await grant('/web');
    const source = await createSource();
    const closed = once(source, 'close');
    source.on('denied', () => expect.unreachable());
    await Promise.all([source.close(), source[Symbol.asyncDispose]()]);
    await closed;
    expect(() => source.svid).toThrow('closed');
    await waitFor('the stream to end', () => api.openStreams === 0);
  });

  it('leaves a client that it was given open', async () => {
    await grant('/web');
    const client = createClient();
    const source = await createSource({ client });
    await source.close();
    expect((await client.fetchX509Context()).svids).toHaveLength(1);
  });

  it('refuses a missing or malformed address at once', async () => {
    await expect(X509Source.create({ address: 'http://127.0.0.1' })).rejects.toMatchObject({
      reason: 'invalid_argument',
    });
  });
});

describe('a malformed answer', () => {
  const cases: readonly (readonly [string, (good: X509SVIDResponse) => X509SVIDResponse])[] = [
    ['no SVID', (good) => ({ ...good, svids: [] })],
    ['no SPIFFE ID', (good) => changed(good, { spiffeId: '' })],
    [
      'another SPIFFE ID than the certificate',
      (good) => changed(good, { spiffeId: 'spiffe://example.org/other' }),
    ],
    ['no certificate', (good) => changed(good, { x509Svid: Buffer.alloc(0) })],
    ['a cut certificate', (good) => changed(good, { x509Svid: bytes(good, 'x509Svid').subarray(0, -1) })],
    [
      'bytes after the certificate',
      (good) => changed(good, { x509Svid: Buffer.concat([bytes(good, 'x509Svid'), Buffer.from([0])]) }),
    ],
    ['no key', (good) => changed(good, { x509SvidKey: Buffer.alloc(0) })],
    ['an unreadable key', (good) => changed(good, { x509SvidKey: Buffer.from('3003020100', 'hex') })],
    ['no bundle', (good) => changed(good, { bundle: Buffer.alloc(0) })],
    ['a bundle of no certificates', (good) => changed(good, { bundle: Buffer.from('3003020100', 'hex') })],
    [
      'a federated bundle of no trust domain',
      (good) => ({ ...good, federatedBundles: { 'spiffe://Foreign': bytes(good, 'bundle') } }),
    ],
    [
      'an empty federated bundle',
      (good) => ({ ...good, federatedBundles: { 'spiffe://foreign.test': Buffer.alloc(0) } }),
    ],
  ];

  it.each(cases)('with %s is reported and changes nothing', async (_name, spoil) => {
    await grant('/web');
    const source = await createSource();
    const { svid } = source;
    const told = once(source, 'disconnect');
    api.serveRaw(
      spoil(toResponse({ svids: [await authority.issueX509Svid('/bad')], bundles: [authority.bundle()] })),
    );
    const [error] = (await told) as [BonafideError];
    expect(error.reason).toBe('internal');
    expect(source.svid).toBe(svid);
    const updated = once(source, 'update');
    await grant('/good');
    await updated;
    expect(source.svid.spiffeId).toBe('spiffe://example.org/good');
  });

  it('with a key that belongs to another certificate is reported and changes nothing', async () => {
    await grant('/web');
    const source = await createSource();
    const told = once(source, 'disconnect');
    const [one, other] = [await authority.issueX509Svid('/a'), await authority.issueX509Svid('/b')];
    api.serve({ svids: [{ ...one, privateKey: other.privateKey }], bundles: [authority.bundle()] });
    const [error] = (await told) as [BonafideError];
    expect(error.message).toContain('does not belong to the certificate');
  });

  function changed(
    good: X509SVIDResponse,
    over: NonNullable<X509SVIDResponse['svids']>[number],
  ): X509SVIDResponse {
    return { ...good, svids: (good.svids ?? []).map((svid) => ({ ...svid, ...over })) };
  }

  function bytes(good: X509SVIDResponse, field: 'x509Svid' | 'bundle'): Buffer {
    return Buffer.from(good.svids?.[0]?.[field] ?? '');
  }
});

describe('WorkloadApiClient', () => {
  it('fetches bundles for a process without an identity of its own', async () => {
    await grant('/web', foreign);
    const bundles = await createClient().fetchX509Bundles();
    expect([...bundles.keys()].sort()).toEqual(['example.org', 'foreign.test']);
    expect([...bundles.values()].map(({ x509Authorities }) => x509Authorities.length)).toEqual([1, 1]);
  });

  it('answers a fetch with the reason of the endpoint, without trying again', async () => {
    api.refuse(status.PERMISSION_DENIED, 'no identity issued');
    const client = createClient();
    await expect(client.fetchX509Context()).rejects.toMatchObject({
      reason: 'permission_denied',
      message: 'no identity issued',
    });
    expect(api.headers).toHaveLength(1);
  });

  it('limits how long a fetch takes', async () => {
    api.serveRaw({}); // a stream that never gets a usable answer ends the fetch with that fault
    await expect(createClient().fetchX509Context()).rejects.toThrow('svids is empty');
    await using silent = await TestWorkloadApi.start(join(directory.path, 'silent.sock'));
    silent.beSilent();
    const client = new WorkloadApiClient({ address: silent.address });
    await expect(client.fetchX509Context({ timeoutMs: 50 })).rejects.toMatchObject({
      reason: 'deadline_exceeded',
    });
    await expect(client.fetchX509Context({ signal: AbortSignal.timeout(50) })).rejects.toMatchObject({
      reason: 'cancelled',
    });
    client.close();
    await expect(client.fetchX509Context()).rejects.toBeInstanceOf(BonafideError);
  });

  it('ends a watch with the error that its watcher throws', async () => {
    await grant('/web');
    const watch = createClient().watchX509Context({
      onUpdate: () => {
        throw new Error('a fault of the watcher');
      },
    });
    await expect(watch).rejects.toThrow('a fault of the watcher');
  });
});
