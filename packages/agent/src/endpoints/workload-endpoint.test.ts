import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { credentials, Metadata, status, type ClientReadableStream } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger, type Logger } from '@bonafide/shared/runtime/logger';
import { MemoryIdentities, type MemoryContent } from '@bonafide/testing/memory-identities';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { WITHOUT_TOKENS } from '../token-svids/token-samples.js';
import { createWorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { attestorHost } from '../workload-attestation/attestor-host-samples.js';
import { createWorkloadAttestors, workloadAttestorsConfigSchema } from '../workload-attestation/attestors.js';
import { endpointLimits, type EndpointLimits } from './endpoint-limits.js';
import { createWorkloadEndpoint, type WorkloadEndpoint } from './workload-endpoint.js';

const SELF = [`unix:uid:${process.geteuid?.() ?? -1}`];
const HEADER = { 'workload.spiffe.io': 'true' };

let authority: TestAuthority;
let directory: TemporaryDirectory;
let identities: MemoryIdentities;
const closers: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
});
beforeEach(() => {
  directory = createTemporaryDirectory();
  identities = new MemoryIdentities(authority.trustDomain);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  directory.remove();
});

interface Setup {
  readonly endpoint: WorkloadEndpoint;
  readonly socketPath: string;
  readonly client: ServiceClient<'SpiffeWorkloadAPI'>;
  readonly warnings: string[];
  readonly newClient: () => ServiceClient<'SpiffeWorkloadAPI'>;
}

async function setUp(limits: Partial<EndpointLimits> = {}): Promise<Setup> {
  const warnings: string[] = [];
  const log: Logger = Object.assign(Object.create(silentLogger) as Logger, {
    warn: (_fields: object, message: string) => void warnings.push(message),
  });
  const socketPath = directory.join('agent.sock');
  const attestors = createWorkloadAttestors(
    workloadAttestorsConfigSchema.parse({ unix: {} }),
    attestorHost({ log }),
  );
  const attest = createWorkloadAttestation({ attestors, clock: systemClock, log });
  const endpoint = createWorkloadEndpoint({
    socketPath,
    identities,
    ...WITHOUT_TOKENS,
    attest,
    clock: systemClock,
    log,
    limits: endpointLimits(limits),
  });
  await endpoint.listen();
  closers.push(() => endpoint.close(0));
  const newClient = (): ServiceClient<'SpiffeWorkloadAPI'> => {
    const { Client } = loadService('SpiffeWorkloadAPI');
    // Each its own connection.
    const options = { 'grpc.use_local_subchannel_pool': 1, 'grpc.default_authority': 'localhost' };
    const client = new Client(`unix://${socketPath}`, credentials.createInsecure(), options);
    closers.push(() => {
      client.close();
    });
    return client;
  };
  return { endpoint, socketPath, client: newClient(), warnings, newClient };
}

async function content(...paths: readonly string[]): Promise<MemoryContent> {
  const svids = await Promise.all(paths.map((path) => authority.issueX509Svid(path)));
  return { entries: svids.map((svid) => ({ selectors: SELF, svid })), bundles: [authority.bundle()] };
}

function stream(client: ServiceClient<'SpiffeWorkloadAPI'>, signal?: AbortSignal) {
  return openServerStream(client, 'FetchX509SVID', {}, { metadata: HEADER, signal });
}

async function nextIds(messages: ReturnType<typeof stream>): Promise<readonly string[]> {
  const { value } = await messages.next();
  return value?.svids.map(({ spiffeId }) => spiffeId) ?? [];
}

function openFiles(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('the workload endpoint', () => {
  it('streams identities at once and at every change, until none is left', async () => {
    const { client } = await setUp();
    identities.set(await content('/a'));
    const messages = stream(client);
    expect(await nextIds(messages)).toEqual(['spiffe://example.org/a']);
    identities.set(await content('/a', '/b'));
    expect(await nextIds(messages)).toEqual(['spiffe://example.org/a', 'spiffe://example.org/b']);
    identities.set(await content());
    await expect(messages.next()).rejects.toMatchObject({
      reason: 'permission_denied',
      message: 'no identity issued',
    });
    expect(identities.subscriberCount).toBe(0);
  });

  it('refuses a caller without identity, and says which selectors it had', async () => {
    const { client, warnings } = await setUp();
    identities.set({ ...(await content('/a')), entries: [] });
    await expect(stream(client).next()).rejects.toMatchObject({ reason: 'permission_denied' });
    const bundles = openServerStream(client, 'FetchX509Bundles', {}, { metadata: HEADER });
    await expect(bundles.next()).rejects.toMatchObject({
      reason: 'permission_denied',
      message: 'no identity issued',
    });
    expect(warnings).toEqual([
      `no entry matches the caller: no identity issued; 'bonafide-agent explain --pid ${process.pid}' tells why`,
    ]);
  });

  it('streams bundles when bundles change, and not when only an SVID does', async () => {
    const { client } = await setUp();
    const first = await content('/a');
    identities.set(first);
    const messages = openServerStream(client, 'FetchX509Bundles', {}, { metadata: HEADER });
    expect((await messages.next()).value?.bundles).toEqual({ 'spiffe://example.org': authority.certificate });
    identities.set(await content('/a'));
    identities.set(await content('/b'));
    const other = await TestAuthority.create('other.example');
    identities.set({ ...first, bundles: [authority.bundle(), other.bundle()] });
    expect((await messages.next()).value?.bundles).toEqual({
      'spiffe://example.org': authority.certificate,
      'spiffe://other.example': other.certificate,
    });
    await messages.return(undefined);
  });

  it('does not repeat itself when the content is the same', async () => {
    const { client } = await setUp();
    const same = await content('/a');
    identities.set(same);
    const messages = stream(client);
    await nextIds(messages);
    identities.set({ ...same });
    await new Promise((resolve) => setImmediate(resolve));
    identities.set(await content('/b'));
    expect(await nextIds(messages)).toEqual(['spiffe://example.org/b']);
  });

  it.each([
    ['no header', []],
    ['another value', ['false']],
    ['another case', ['True']],
    ['two values', ['true', 'true']],
    ['a list', ['true,true']],
    ['an empty value', ['']],
  ])('refuses %s', async (_name, values) => {
    const { client } = await setUp();
    identities.set(await content('/a'));
    const metadata = new Metadata();
    for (const value of values) metadata.add('workload.spiffe.io', value);
    const call: ClientReadableStream<unknown> = client.FetchX509SVID({}, metadata);
    const [error] = (await once(call, 'error')) as [unknown];
    expect(error).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining('security header missing from request') as string,
    });
    expect(identities.subscriberCount).toBe(0);
  });

  it('answers health without the header, to a check, a list and a watch, and tells the watch of its end', async () => {
    const { endpoint, socketPath } = await setUp();
    const { Client } = loadService('grpc.health.v1.Health');
    const health = new Client(`unix://${socketPath}`, credentials.createInsecure());
    closers.push(() => {
      health.close();
    });
    expect(await callUnary(health, 'Check', { service: '' })).toEqual({ status: 'SERVING' });
    expect(await callUnary(health, 'Check', { service: 'SpiffeWorkloadAPI' })).toEqual({ status: 'SERVING' });
    await expect(callUnary(health, 'Check', { service: 'other' })).rejects.toMatchObject({
      reason: 'not_found',
    });
    expect(Object.keys((await callUnary(health, 'List', {})).statuses)).toEqual(['', 'SpiffeWorkloadAPI']);
    const watch = openServerStream(health, 'Watch', { service: '' });
    expect((await watch.next()).value).toEqual({ status: 'SERVING' });
    const unknown = openServerStream(health, 'Watch', { service: 'other' });
    expect((await unknown.next()).value).toEqual({ status: 'SERVICE_UNKNOWN' });
    const ended = expect(watch.next()).rejects.toMatchObject({ reason: 'unavailable' });
    await unknown.return(undefined);
    await endpoint.close(1000);
    await ended;
  });

  it('holds one user to the streams and connections it may have, and gives places back', async () => {
    const { newClient, warnings } = await setUp({ maxConnectionsPerUid: 2, maxStreamsPerUid: 3 });
    identities.set(await content('/a'));
    const [first, second, third] = [newClient(), newClient(), newClient()];
    const end = new AbortController();
    for (const client of [first, first, second]) await nextIds(stream(client, end.signal));
    await expect(stream(second).next()).rejects.toMatchObject({
      reason: 'resource_exhausted',
      message: expect.stringContaining('has 3 streams open') as string,
    });
    await expect(stream(third).next()).rejects.toMatchObject({ reason: 'unavailable' });
    expect(warnings).toEqual([
      expect.stringContaining('refused a stream'),
      'refused a connection: its user has too many open',
    ]);
    end.abort();
    await waitFor('the places to be free', () => identities.subscriberCount === 0);
    const again = stream(second);
    expect(await nextIds(again)).toEqual(['spiffe://example.org/a']);
    await again.return(undefined);
    first.close();
    await waitFor('a connection to be free', async () => (await nextIds(stream(newClient()))).length === 1);
  });

  it('holds a connection to the streams it may have', async () => {
    const { socketPath, newClient } = await setUp({ maxStreamsPerConnection: 2 });
    identities.set(await content('/a'));
    expect(existsSync(socketPath)).toBe(true);
    const client = newClient();
    const end = new AbortController();
    await nextIds(stream(client, end.signal));
    await nextIds(stream(client, end.signal));
    // What happens then is the client's choice: one of Node 20 waits for a stream to end, one of Node 24 gives up at once.
    const third = nextIds(stream(client)).catch((error: unknown) => {
      if (!hasReason(error, 'resource_exhausted')) throw error;
      return undefined;
    });
    await nextIds(stream(newClient())); // by then, the third would have been served
    expect(identities.subscriberCount).toBe(3);
    end.abort();
    expect((await third) ?? (await nextIds(stream(client)))).toEqual(['spiffe://example.org/a']);
  });

  it('refuses connections beyond all that it may have', async () => {
    const { socketPath, warnings } = await setUp({ maxConnections: 3, maxConnectionsPerUid: 10 });
    const sockets: Socket[] = [];
    for (let count = 0; count < 5; count += 1) sockets.push(connect(socketPath));
    closers.push(() => {
      for (const socket of sockets) socket.destroy();
    });
    for (const socket of sockets) socket.on('error', () => undefined).resume();
    await waitFor('two to be refused', () => sockets.filter(({ closed }) => closed).length === 2);
    expect(warnings).toEqual(['refused a connection: too many are open']);
  });

  it('leaks no descriptor over 2,000 connections with a call each, whatever way they end', async () => {
    const { newClient, socketPath } = await setUp();
    identities.set(await content('/a'));
    const round = async (index: number): Promise<void> => {
      if (index % 4 === 0) {
        const socket = connect(socketPath);
        await once(socket, 'connect');
        socket.destroy();
        return;
      }
      const client = newClient();
      const end = new AbortController();
      const messages = stream(client, end.signal);
      if (index % 4 === 1) end.abort();
      await nextIds(messages).catch((error: unknown) => {
        if (!hasReason(error, 'cancelled')) throw error;
      });
      if (index % 4 === 2) await messages.return(undefined);
      client.close();
      end.abort();
    };
    await round(3);
    await waitFor('the first round to end', () => identities.subscriberCount === 0);
    const before = openFiles();
    for (let index = 0; index < 2000; index += 20) {
      await Promise.all(Array.from({ length: 20 }, (_, offset) => round(index + offset)));
    }
    await waitFor('every descriptor to be closed', () => openFiles() <= before, {
      explain: () => `${openFiles()} open, ${before} before`,
    });
    expect(identities.subscriberCount).toBe(0);
  });

  it('says when it is out of descriptors, and serves again when it is not', async () => {
    const { client, socketPath, warnings, newClient } = await setUp();
    identities.set(await content('/a'));
    await nextIds(stream(client)); // whatever is loaded lazily is loaded
    const taken: number[] = [];
    const takeAll = (): void => {
      for (let count = 0; count < 200_000; count += 1) {
        try {
          taken.push(openSync('/dev/null', 'r'));
        } catch {
          return;
        }
      }
    };
    takeAll();
    const free = (count: number): void => {
      for (const fd of taken.splice(0, count)) closeSync(fd);
    };
    try {
      free(2); // one for the client's end, one for ours, none to look at the process
      const socket = connect(socketPath);
      socket.on('error', () => undefined).resume();
      await waitFor('the refusal', () => (socket.closed ? true : undefined));
      expect(warnings).toEqual([
        expect.stringMatching(/refused a connection whose caller is unknown: .*errno 24/),
      ]);
    } finally {
      free(taken.length);
    }
    expect(await nextIds(stream(newClient()))).toEqual(['spiffe://example.org/a']);
  });

  it('ends streams so that clients come back, takes no more, and removes its socket', async () => {
    const { endpoint, client, socketPath } = await setUp();
    identities.set(await content('/a'));
    const messages = stream(client);
    await nextIds(messages);
    const silent = connect(socketPath); // never sends a preface
    await once(silent, 'connect');
    const ended = expect(messages.next()).rejects.toMatchObject({
      reason: 'unavailable',
      message: 'the agent is shutting down',
    });
    const cut = once(silent.resume(), 'close');
    await endpoint.close(200);
    await ended;
    await cut;
    expect(existsSync(socketPath)).toBe(false);
    expect(identities.subscriberCount).toBe(0);
  });

  it('hands the socket over to a successor without a moment in which none is there', async () => {
    const first = await setUp();
    identities.set(await content('/a'));
    const second = await setUp();
    await first.endpoint.close(0);
    expect(await nextIds(stream(second.client))).toEqual(['spiffe://example.org/a']);
  });

  it('does not start over a file that is no socket', async () => {
    writeFileSync(directory.join('agent.sock'), 'precious');
    await expect(setUp()).rejects.toMatchObject({ reason: 'failed_precondition' });
  });

  it('cannot be told by metadata who calls', async () => {
    const { client } = await setUp();
    identities.set(await content('/a'));
    const spoof = {
      ...HEADER,
      'x-peer': 'peer:1',
      'x-uid': '0',
      'x-forwarded-for': 'peer:1',
      forwarded: 'for=peer:1',
    };
    const messages = openServerStream(client, 'FetchX509SVID', {}, { metadata: spoof });
    await messages.next();
    const [selectors] = identities.subscribedSelectors;
    expect(selectors).toContain(SELF[0]);
    expect([...(selectors ?? [])].filter((text) => text.startsWith('unix:uid:'))).toEqual(SELF);
    await messages.return(undefined);
  });
});
