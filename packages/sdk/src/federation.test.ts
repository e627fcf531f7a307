/** Peers of a federated trust domain: verified by the bundle of their own, by every client and server there is, and nobody else. */
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { Client, Server, type ChannelCredentials } from '@grpc/grpc-js';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { bundlesOf, TestIdentity } from '@bonafide/testing/test-identity';
import { fetch as undiciFetch } from 'undici';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { grpcChannelCredentials } from './grpc/grpc-channel-credentials.js';
import { createGrpcListener, grpcPeerSpiffeId } from './grpc/grpc-listener.js';
import { authorizeAny } from './tls/authorizer.js';
import { connectHttp2 } from './tls/connect-http2.js';
import { createHttp2Server } from './tls/create-servers.js';
import { createHttpsAgent } from './tls/https-agent.js';
import { peerSpiffeId } from './tls/peer-spiffe-id.js';
import { tlsClientOptions } from './tls/tls-client-options.js';
import { createFetchDispatcher } from './undici/fetch-dispatcher.js';
import type { X509Identity } from './x509-source.js';

const METHOD = {
  path: '/test.Greeter/Greet',
  requestStream: false,
  responseStream: false,
  requestSerialize: (text: string) => Buffer.from(text),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (text: string) => Buffer.from(text),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
};

let ours: TestAuthority;
let theirs: TestAuthority;
let unknown: TestAuthority;
const closers: (() => unknown)[] = [];

beforeAll(async () => {
  ours = await TestAuthority.create('example.org');
  theirs = await TestAuthority.create('foreign.test');
  unknown = await TestAuthority.create('unknown.test');
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Greets by name over HTTP/1.1 and HTTP/2. */
async function listenHttp(source: X509Identity): Promise<number> {
  const server = createHttp2Server(
    source,
    authorizeAny(),
    (request, response) => {
      response.end(`hello ${peerSpiffeId(request.socket) ?? 'nobody'}`);
    },
    { allowHTTP1: true },
  );
  closers.push(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function listenGrpc(source: X509Identity): Promise<number> {
  const server = new Server();
  server.addService(
    { Greet: METHOD },
    {
      Greet: (
        call: Parameters<typeof grpcPeerSpiffeId>[0],
        callback: (error: null, text: string) => void,
      ) => {
        callback(null, `hello ${grpcPeerSpiffeId(call) ?? 'nobody'}`);
      },
    },
  );
  const listener = createGrpcListener(server, source, authorizeAny());
  closers.push(() => listener.close(0));
  return (await listener.listen({ port: 0, host: '127.0.0.1' })).port;
}

interface Way {
  readonly listen: (source: X509Identity) => Promise<number>;
  readonly ask: (port: number, source: X509Identity) => Promise<string>;
}

async function readAll(stream: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

const WAYS: Readonly<Record<string, Way>> = {
  'tls.connect': {
    listen: listenHttp,
    ask: async (port, source) => {
      const socket = tls.connect({ host: '127.0.0.1', port, ...tlsClientOptions(source, authorizeAny()) });
      socket.write('GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
      return /hello \S+/.exec(await readAll(socket.setEncoding('utf8')))?.[0] ?? '';
    },
  },
  'https.Agent': {
    listen: listenHttp,
    ask: async (port, source) => {
      const agent = createHttpsAgent(source, authorizeAny());
      closers.push(() => {
        agent.destroy();
      });
      const request = https.get({ host: '127.0.0.1', port, agent });
      const [response] = (await once(request, 'response')) as [AsyncIterable<unknown>];
      return readAll(response);
    },
  },
  'http2.connect': {
    listen: listenHttp,
    ask: async (port, source) => {
      const session = await connectHttp2(`https://127.0.0.1:${port}`, source, authorizeAny());
      closers.push(() => {
        session.destroy();
      });
      const stream = session.request({ ':path': '/' });
      return readAll(stream.setEncoding('utf8'));
    },
  },
  'fetch of undici': {
    listen: listenHttp,
    ask: async (port, source) => {
      const dispatcher = createFetchDispatcher(source, { authorize: authorizeAny() });
      closers.push(() => dispatcher.destroy());
      return (await undiciFetch(`https://127.0.0.1:${port}/`, { dispatcher })).text();
    },
  },
  grpc: {
    listen: listenGrpc,
    ask: (port, source) => {
      const credentials: ChannelCredentials = grpcChannelCredentials(source, authorizeAny());
      const client = new Client(`127.0.0.1:${port}`, credentials);
      closers.push(() => {
        client.close();
      });
      return new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          METHOD.path,
          METHOD.requestSerialize,
          METHOD.responseDeserialize,
          'x',
          (error, text) => {
            if (error === null) resolve(text ?? '');
            else reject(error);
          },
        );
      });
    },
  },
};

describe.each(Object.entries(WAYS))('%s', (_name, { listen, ask }) => {
  it('connects trust domains that federate with each other', async () => {
    const server = new TestIdentity(await theirs.issueX509Svid('/server'), bundlesOf(theirs, ours));
    const client = new TestIdentity(await ours.issueX509Svid('/client'), bundlesOf(ours, theirs));
    expect(await ask(await listen(server), client)).toBe('hello spiffe://example.org/client');
  });

  it('refuses a trust domain that is not known, on either side', async () => {
    const server = new TestIdentity(await ours.issueX509Svid('/server'), bundlesOf(ours, theirs));
    const stranger = new TestIdentity(await unknown.issueX509Svid('/client'), bundlesOf(unknown, ours));
    const answer = await ask(await listen(server), stranger).catch(() => '');
    expect(answer).toBe('');
    const elsewhere = new TestIdentity(await unknown.issueX509Svid('/server'), bundlesOf(unknown, ours));
    const client = new TestIdentity(await ours.issueX509Svid('/client'), bundlesOf(ours, theirs));
    await expect(ask(await listen(elsewhere), client)).rejects.toThrow();
  });

  it('does not let a federated authority vouch for our trust domain, nor ours for theirs', async () => {
    const all = bundlesOf(ours, theirs);
    const forgedOurs = await theirs.issueX509Svid('spiffe://example.org/server');
    const forgedTheirs = await ours.issueX509Svid('spiffe://foreign.test/server');
    const honest = new TestIdentity(await ours.issueX509Svid('/honest'), all);
    for (const forged of [forgedOurs, forgedTheirs]) {
      await expect(ask(await listen(new TestIdentity(forged, all)), honest)).rejects.toThrow();
      expect(await ask(await listen(honest), new TestIdentity(forged, all)).catch(() => '')).toBe('');
    }
  });
});
