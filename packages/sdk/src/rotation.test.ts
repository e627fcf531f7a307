/** The SVID and the authority rotate under load: whatever is in flight finishes, whatever is new goes out under the new ones. */
import { EventEmitter, once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { Client, Metadata, Server, type ServiceDefinition } from '@grpc/grpc-js';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { TestWorkloadApi } from '@bonafide/testing/test-workload-api';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  authorizeId,
  createGrpcListener,
  createHttp2Server,
  createHttpsAgent,
  createHttpsServer,
  grpcChannelCredentials,
  grpcPeerSpiffeId,
  peerSpiffeId,
  tlsClientOptions,
  X509Source,
} from './index.js';

const SERVER = 'spiffe://example.org/server';
const CLIENT = 'spiffe://example.org/client';
const IN_FLIGHT = 500;

let directory: TemporaryDirectory;
let old: TestAuthority;
let serverApi: TestWorkloadApi;
let clientApi: TestWorkloadApi;
let server: X509Source;
let client: X509Source;
/** Requests wait at the server until this is emitted. */
let gate: EventEmitter<{ open: [] }>;
let waiting: number;
const closers: (() => unknown)[] = [];

beforeEach(async () => {
  directory = createTemporaryDirectory();
  old = await TestAuthority.create('example.org');
  serverApi = await TestWorkloadApi.start(join(directory.path, 'server.sock'));
  clientApi = await TestWorkloadApi.start(join(directory.path, 'client.sock'));
  await grant([old], old);
  server = await X509Source.create({ address: serverApi.address });
  client = await X509Source.create({ address: clientApi.address });
  gate = new EventEmitter<{ open: [] }>();
  gate.setMaxListeners(0);
  waiting = 0;
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await Promise.all([server.close(), client.close(), serverApi.stop(), clientApi.stop()]);
  directory.remove();
});

/** New SVIDs for both, under `issuer`, believed by way of `authorities`. */
async function grant(authorities: readonly TestAuthority[], issuer: TestAuthority): Promise<void> {
  const [first = issuer, ...rest] = authorities;
  const bundles = [first.bundle(...rest)];
  serverApi.serve({ svids: [await issuer.issueX509Svid('/server')], bundles });
  clientApi.serve({ svids: [await issuer.issueX509Svid('/client')], bundles });
}

/** As an authority is replaced for real: believed first, then used, then the old one is forgotten. */
async function rotateEverything(): Promise<void> {
  const next = await TestAuthority.create('example.org');
  for (const [authorities, issuer] of [
    [[old, next], old],
    [[old, next], next],
    [[next], next],
  ] as const) {
    const both = Promise.all([once(server, 'update'), once(client, 'update')]);
    await grant(authorities, issuer);
    await both;
  }
  old = next;
}

function hold(finish: () => void): void {
  waiting += 1;
  gate.once('open', finish);
}

async function rotateWhileWaiting<T>(requests: readonly Promise<T>[]): Promise<readonly T[]> {
  await waitFor('every request to be at the server', () => waiting === requests.length, {
    explain: () => `${waiting} are`,
  });
  await rotateEverything();
  gate.emit('open');
  return Promise.all(requests);
}

async function listen(netServer: NetServer): Promise<number> {
  closers.push(() => netServer.close());
  netServer.listen(0, '127.0.0.1');
  await once(netServer, 'listening');
  return (netServer.address() as AddressInfo).port;
}

describe(`a rotation of SVIDs and authority while ${IN_FLIGHT} requests are in flight`, () => {
  it('disturbs no https request, and the next ones use the new SVIDs', async () => {
    const httpsServer = createHttpsServer(server, authorizeId(CLIENT), (request, response) => {
      const answer = (): void =>
        void response.end(`${peerSpiffeId(request.socket) ?? 'nobody'} ${request.url ?? ''}`);
      if (request.url === '/now') answer();
      else hold(answer);
    });
    const port = await listen(httpsServer);
    const agent = createHttpsAgent(client, authorizeId(SERVER), { maxSockets: 100 });
    closers.push(() => {
      agent.destroy();
    });
    const get = (path: string): Promise<string> => httpsGet(port, path, agent);
    // 100 connections hold 100 requests; 400 more wait in the agent, and are sent on connections made before or after the rotation
    const requests = Array.from({ length: IN_FLIGHT }, (_, index) => get(index < 100 ? `/${index}` : '/now'));
    const answers = await rotateWhileWaiting(requests.slice(0, 100));
    expect(answers).toEqual(answers.map((_, index) => `${CLIENT} /${index}`));
    expect(await Promise.all(requests.slice(100))).toEqual(
      Array.from({ length: 400 }, () => `${CLIENT} /now`),
    );
    expect(await get('/now')).toBe(`${CLIENT} /now`);
  });

  it('disturbs no http2 request, and new sessions use the new SVIDs', async () => {
    const http2Server = createHttp2Server(
      server,
      authorizeId(CLIENT),
      (request, response) => {
        hold(() => response.end(`${peerSpiffeId(request.socket) ?? 'nobody'} ${request.url}`));
      },
      { settings: { maxConcurrentStreams: 2 * IN_FLIGHT } },
    );
    const port = await listen(http2Server);
    const options = tlsClientOptions(client, authorizeId(SERVER));
    const session = http2.connect(`https://127.0.0.1:${port}`, options);
    closers.push(() => {
      session.destroy();
    });
    await once(session, 'remoteSettings');
    const requests = Array.from({ length: IN_FLIGHT }, (_, index) => http2Get(session, `/${index}`));
    const answers = await rotateWhileWaiting(requests);
    expect(answers).toEqual(answers.map((_, index) => `${CLIENT} /${index}`));
    const later = http2.connect(`https://127.0.0.1:${port}`, options);
    const answer = http2Get(later, '/later');
    await waitFor('the request', () => waiting > IN_FLIGHT);
    gate.emit('open');
    expect(await answer).toBe(`${CLIENT} /later`);
    later.destroy();
  });

  it('disturbs no gRPC call, and new channels use the new SVIDs', async () => {
    const { address, call } = await startGrpc();
    const requests = Array.from({ length: IN_FLIGHT }, (_, index) => call(`${index}`));
    const answers = await rotateWhileWaiting(requests);
    expect(answers).toEqual(answers.map((_, index) => `${CLIENT} ${index}`));
    const again = createCaller(address, SERVER);
    const answer = again('later');
    await waitFor('the call', () => waiting > IN_FLIGHT);
    gate.emit('open');
    expect(await answer).toBe(`${CLIENT} later`);
  });
});

describe('gRPC', () => {
  it('refuses a server that is not the one meant, also beside a channel that meant it', async () => {
    const { address, call } = await startGrpc();
    const right = call('right');
    await waitFor('the call', () => waiting === 1);
    gate.emit('open');
    expect(await right).toBe(`${CLIENT} right`);
    await expect(createCaller(address, 'spiffe://example.org/other')('wrong')).rejects.toThrow(
      'expected spiffe://example.org/other',
    );
    expect(waiting).toBe(1);
  });

  it('refuses a client that is not authorized, before it can call anything', async () => {
    const { address, refusals } = await startGrpc('spiffe://example.org/somebody-else');
    await expect(createCaller(address, SERVER)('wrong')).rejects.toThrow('UNAVAILABLE');
    expect(waiting).toBe(0);
    expect(refusals[0]).toBe(`the peer is ${CLIENT}; expected spiffe://example.org/somebody-else`);
  });

  it('lets calls in flight finish when the listener is closed', async () => {
    const { call, close } = await startGrpc();
    const last = call('last');
    await waitFor('the call', () => waiting === 1);
    const closed = close();
    gate.emit('open');
    expect(await last).toBe(`${CLIENT} last`);
    await closed;
    await expect(call('after')).rejects.toThrow('UNAVAILABLE');
  });

  it('cuts calls that outlast the grace', async () => {
    const { call, close } = await startGrpc();
    const stuck = call('stuck');
    const failed = expect(stuck).rejects.toThrow();
    await waitFor('the call', () => waiting === 1);
    await close(50);
    await failed;
  });
});

const ECHO = {
  Echo: {
    path: '/test.Echo/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: (text: string) => Buffer.from(text),
    requestDeserialize: (bytes: Buffer) => bytes.toString(),
    responseSerialize: (text: string) => Buffer.from(text),
    responseDeserialize: (bytes: Buffer) => bytes.toString(),
  },
} satisfies ServiceDefinition;

interface GrpcFixture {
  readonly address: string;
  readonly refusals: string[];
  readonly call: (text: string) => Promise<string>;
  readonly close: (graceMs?: number) => Promise<void>;
}

async function startGrpc(authorized = CLIENT): Promise<GrpcFixture> {
  const grpcServer = new Server();
  grpcServer.addService(ECHO, {
    Echo: (
      call: Parameters<typeof grpcPeerSpiffeId>[0] & { request: string },
      callback: (e: null, v: string) => void,
    ) => {
      const peer = grpcPeerSpiffeId(call) ?? 'nobody';
      hold(() => {
        callback(null, `${peer} ${call.request}`);
      });
    },
  });
  const listener = createGrpcListener(grpcServer, server, authorizeId(authorized));
  const refusals: string[] = [];
  listener.tlsServer.on('tlsClientError', (error: Error) => refusals.push(error.message));
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 });
  closers.push(() => listener.close(100));
  const address = `127.0.0.1:${port}`;
  return {
    address,
    refusals,
    call: createCaller(address, SERVER),
    close: (graceMs) => listener.close(graceMs),
  };
}

function createCaller(address: string, serverId: string): (text: string) => Promise<string> {
  const caller = new Client(address, grpcChannelCredentials(client, authorizeId(serverId)), {
    'grpc.initial_reconnect_backoff_ms': 10_000,
  });
  closers.push(() => {
    caller.close();
  });
  const { path, requestSerialize, responseDeserialize } = ECHO.Echo;
  return (text) =>
    new Promise((resolve, reject) => {
      caller.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        text,
        new Metadata(),
        (error, answer) => {
          if (error === null) resolve(answer ?? '');
          else reject(error);
        },
      );
    });
}

function httpsGet(port: number, path: string, agent: https.Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = https.get({ host: '127.0.0.1', port, path, agent }, (response) => {
      let text = '';
      response.on('data', (data: Buffer) => (text += data.toString()));
      response.on('end', () => {
        resolve(text);
      });
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

function http2Get(session: http2.ClientHttp2Session, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':path': path });
    let text = '';
    stream.on('data', (data: Buffer) => (text += data.toString()));
    stream.on('error', reject);
    stream.on('end', () => {
      resolve(text);
    });
  });
}
