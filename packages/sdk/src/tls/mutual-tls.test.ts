/** Mutual TLS between two sources over real sockets: who gets in, who does not, and that no byte passes before it is decided. */
import { once } from 'node:events';
import https from 'node:https';
import http2 from 'node:http2';
import type { AddressInfo, Server as NetServer } from 'node:net';
import tls from 'node:tls';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { bundlesOf, TestIdentity } from '@bonafide/testing/test-identity';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { X509Bundles } from '../workload-api/x509-context.js';
import type { X509Identity } from '../x509-source.js';
import {
  authorizeAny,
  authorizeId,
  authorizeMatching,
  authorizeMemberOf,
  authorizeOneOf,
  type Authorizer,
} from './authorizer.js';
import { createHttp2Server, createHttpsServer, createTlsServer } from './create-servers.js';
import { createHttpsAgent } from './https-agent.js';
import { peerSpiffeId } from './peer-spiffe-id.js';
import { tlsClientOptions } from './tls-client-options.js';
import { tlsServerOptions } from './tls-server-options.js';

const promise = (): unknown => Promise.resolve(true);
const SERVER = 'spiffe://example.org/server';
const CLIENT = 'spiffe://example.org/client';

let authority: TestAuthority;
let foreign: TestAuthority;
const closers: (() => void)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  foreign = await TestAuthority.create('foreign.test');
});

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function identity(id: string, from = authority, bundles = bundlesOf(authority)): Promise<TestIdentity> {
  return new TestIdentity(await from.issueX509Svid(id), bundles);
}

async function listen(server: NetServer): Promise<number> {
  closers.push(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

interface Exchange {
  /** What the client read; the server greets each client by its ID and repeats what it says. */
  readonly answer: string;
  readonly error: string | undefined;
}

interface EchoServer {
  readonly port: number;
  readonly refusals: string[];
  /** Everything that reached the application. */
  readonly received: string[];
  readonly server: tls.Server;
}

async function startEcho(source: X509Identity, authorizer: Authorizer): Promise<EchoServer> {
  const received: string[] = [];
  const refusals: string[] = [];
  const server = createTlsServer(source, authorizer, (socket) => {
    received.push(`connection of ${peerSpiffeId(socket) ?? 'nobody'}`);
    socket.on('error', () => undefined);
    socket.on('data', (data: Buffer) => {
      received.push(data.toString());
      socket.end(`hello ${peerSpiffeId(socket) ?? 'nobody'}, you said ${data.toString()}`);
    });
  });
  server.on('tlsClientError', (error: Error) => refusals.push(error.message));
  return { port: await listen(server), refusals, received, server };
}

function talk(port: number, options: tls.ConnectionOptions): Promise<Exchange> {
  return new Promise((resolve) => {
    let answer = '';
    let error: string | undefined;
    const socket = tls.connect({ host: '127.0.0.1', port, ...options });
    socket.write('ping'); // as early as can be: before the handshake
    socket.on('data', (data: Buffer) => (answer += data.toString()));
    socket.on('error', (caught: Error) => (error ??= caught.message));
    socket.on('close', () => {
      resolve({ answer, error });
    });
  });
}

function rawOptions(svid: X509Svid | undefined, more: tls.ConnectionOptions = {}): tls.ConnectionOptions {
  return { ...(svid === undefined ? {} : keyAndCertificate(svid)), rejectUnauthorized: false, ...more };
}

function keyAndCertificate(svid: X509Svid): { readonly cert: string; readonly key: string } {
  return {
    cert: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
  };
}

describe('the server', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'serves an authorized client, and names it, over %s',
    async (version) => {
      const { port, received } = await startEcho(await identity('/server'), authorizeId(CLIENT));
      const client = await identity('/client');
      const options = tlsClientOptions(client, authorizeId(SERVER));
      const only = rawOptions(client.svid, { minVersion: version, maxVersion: version });
      expect(await talk(port, only)).toEqual({ answer: `hello ${CLIENT}, you said ping`, error: undefined });
      expect(await talk(port, { ...options })).toEqual({
        answer: `hello ${CLIENT}, you said ping`,
        error: undefined,
      });
      expect(received).toEqual([`connection of ${CLIENT}`, 'ping', `connection of ${CLIENT}`, 'ping']);
    },
  );

  const unwelcome: readonly {
    readonly name: string;
    readonly refusal: string;
    readonly svid: () => Promise<X509Svid | undefined>;
    readonly authorizer?: Authorizer;
    readonly bundles?: () => X509Bundles;
  }[] = [
    {
      name: 'without a certificate',
      refusal: 'presented no certificate',
      svid: () => Promise.resolve(undefined),
    },
    {
      name: 'with another ID than the authorized one',
      refusal: `the peer is spiffe://example.org/other; expected ${CLIENT}`,
      svid: () => authority.issueX509Svid('/other'),
    },
    {
      name: 'of a trust domain whose bundle we do not hold',
      refusal: 'there is no bundle for trust domain foreign.test',
      svid: () => foreign.issueX509Svid('/client'),
      authorizer: authorizeAny(),
    },
    {
      name: 'of our trust domain by its name, but signed by a federated authority',
      refusal: 'not signed by an authority of its trust domain',
      svid: () => foreign.issueX509Svid(CLIENT),
      bundles: () => bundlesOf(authority, foreign),
    },
    {
      name: 'of a federated trust domain by its name, but signed by our authority',
      refusal: 'not signed by an authority of its trust domain',
      svid: () => authority.issueX509Svid('spiffe://foreign.test/client'),
      authorizer: authorizeAny(),
      bundles: () => bundlesOf(authority, foreign),
    },
    {
      name: 'with an expired SVID',
      refusal: 'expired at',
      svid: () =>
        authority.issueX509Svid('/client', {
          notBefore: new Date(Date.now() - 120_000),
          notAfter: new Date(Date.now() - 60_000),
        }),
    },
    {
      name: 'with an SVID of tomorrow',
      refusal: 'not valid before',
      svid: () => authority.issueX509Svid('/client', { notBefore: new Date(Date.now() + 1_800_000) }),
    },
    {
      name: 'with two URI names',
      refusal: 'more than one URI name',
      svid: () =>
        authority.issueX509Svid('/client', {
          certificate: { uriNames: [CLIENT, 'spiffe://example.org/admin'] },
        }),
    },
    {
      name: 'with a signing certificate',
      refusal: 'is a signing certificate',
      svid: () =>
        authority.issueX509Svid('/client', { certificate: { isCa: true, keyUsages: ['keyCertSign'] } }),
    },
    {
      name: 'that signed its own certificate',
      refusal: 'not signed by an authority of its trust domain',
      svid: async () => (await TestAuthority.create('impostor.test')).issueX509Svid(CLIENT),
    },
    {
      name: 'when the matcher answers with something other than true',
      refusal: 'expected a SPIFFE ID that the matcher accepts',
      svid: () => authority.issueX509Svid('/client'),
      // what a matcher in JavaScript may do: a promise is not an answer
      authorizer: authorizeMatching(promise as () => boolean),
    },
    {
      name: 'when the matcher throws',
      refusal: 'the rule is broken',
      svid: () => authority.issueX509Svid('/client'),
      authorizer: authorizeMatching(() => {
        throw new Error('the rule is broken');
      }),
    },
  ];

  it.each(unwelcome)('refuses a client $name, and hands over none of its bytes', async (scenario) => {
    const {
      refusal,
      svid,
      authorizer = authorizeId(CLIENT),
      bundles = () => bundlesOf(authority),
    } = scenario;
    const own = new TestIdentity(await authority.issueX509Svid('/server'), bundles());
    const { port, refusals, received } = await startEcho(own, authorizer);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { answer } = await talk(port, rawOptions(await svid(), { maxVersion }));
      expect(answer).toBe('');
    }
    expect(received).toEqual([]);
    expect(refusals).toHaveLength(2);
    for (const text of refusals) expect(text).toContain(refusal);
  });

  it('accepts a federated client once its bundle is there, and no longer when it is gone', async () => {
    const own = await identity('/server');
    const { port } = await startEcho(own, authorizeMemberOf('foreign.test'));
    const client = rawOptions(await foreign.issueX509Svid('/client'));
    expect((await talk(port, client)).answer).toBe('');
    own.set(own.svid, bundlesOf(authority, foreign));
    expect((await talk(port, client)).answer).toBe('hello spiffe://foreign.test/client, you said ping');
    own.set(own.svid, bundlesOf(authority));
    expect((await talk(port, client)).answer).toBe('');
  });

  it('verifies chains with intermediates, and anchors that are not self-signed', async () => {
    const intermediate = await authority.createIntermediate();
    const leafAuthority = await intermediate.createIntermediate();
    const own = await identity('/server');
    const { port, refusals } = await startEcho(own, authorizeAny());
    const svid = await leafAuthority.issueX509Svid('/client');
    const { trustDomain } = authority;
    expect((await talk(port, rawOptions(svid))).answer).toContain(CLIENT);
    own.set(own.svid, new Map([[trustDomain, { trustDomain, x509Authorities: [intermediate.certificate] }]]));
    expect((await talk(port, rawOptions(svid))).answer).toContain(CLIENT);
    const cut = { ...svid, certificateChain: svid.certificateChain.slice(0, 1) };
    expect((await talk(port, rawOptions(cut))).answer).toBe('');
    expect(refusals).toHaveLength(1);
  });

  it('refuses everybody until protect has been called', async () => {
    const options = tlsServerOptions(await identity('/server'), authorizeAny());
    const received: string[] = [];
    const server = https.createServer(options, () => received.push('request'));
    server.on('secureConnection', () => received.push('connection'));
    const port = await listen(server);
    const client = rawOptions(await authority.issueX509Svid('/client'));
    expect((await talk(port, client)).error).toBeDefined();
    expect(received).toEqual([]);
    options.protect(server);
    await talk(port, client);
    expect(received).toContain('connection');
  });

  it('keeps a refused socket from listeners that were added later', async () => {
    const { port, server } = await startEcho(await identity('/server'), authorizeId(CLIENT));
    const seen: string[] = [];
    server.on('secureConnection', () => seen.push('connection'));
    server.prependListener('secureConnection', () => seen.push('connection first'));
    await talk(port, rawOptions(await authority.issueX509Svid('/other')));
    expect(seen).toEqual([]);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('never resumes a session over %s', async (maxVersion) => {
    const { port } = await startEcho(await identity('/server'), authorizeId(CLIENT));
    const svid = await authority.issueX509Svid('/client');
    let session: Buffer | undefined;
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const socket = tls.connect({ host: '127.0.0.1', port, ...rawOptions(svid, { maxVersion, session }) });
      socket.on('session', (given) => (session = given));
      socket.write('ping');
      socket.resume();
      await once(socket, 'secureConnect');
      expect(socket.isSessionReused()).toBe(false);
      session ??= socket.getSession();
      await once(socket, 'close');
    }
  });

  it('makes no connection while nothing is granted, and does again afterwards', async () => {
    const own = await identity('/server');
    const { svid } = own;
    const { port } = await startEcho(own, authorizeAny());
    const client = rawOptions(await authority.issueX509Svid('/client'));
    own.set(undefined);
    expect((await talk(port, client)).answer).toBe('');
    own.set(svid);
    expect((await talk(port, client)).answer).toContain(CLIENT);
  });

  it('stops listening to the source when it is closed', async () => {
    const own = await identity('/server');
    const { server } = await startEcho(own, authorizeAny());
    expect(own.listenerCount('update')).toBe(1);
    server.close();
    await once(server, 'close');
    expect(own.listenerCount('update') + own.listenerCount('denied')).toBe(0);
  });
});

describe('the client', () => {
  /** An ordinary TLS server, so that only the client decides. */
  async function startPlain(svid: X509Svid): Promise<{ readonly port: number; readonly received: string[] }> {
    const received: string[] = [];
    const server = tls.createServer(
      { ...keyAndCertificate(svid), requestCert: true, rejectUnauthorized: false },
      (socket) => {
        socket.on('error', () => undefined);
        socket.on('data', (data: Buffer) => {
          received.push(data.toString());
          socket.end('hello');
        });
      },
    );
    return { port: await listen(server), received };
  }

  it('names the server that it verified, as often as it is asked', async () => {
    const intermediate = await authority.createIntermediate();
    const { port } = await startPlain(await intermediate.issueX509Svid('/server'));
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      ...tlsClientOptions(await identity('/client'), authorizeOneOf([SERVER, 'spiffe://example.org/spare'])),
    });
    await once(socket, 'secureConnect');
    for (let times = 0; times < 3; times += 1) expect(peerSpiffeId(socket)).toBe(SERVER);
    socket.destroy();
  });

  it('does not name a peer that somebody else verified', async () => {
    const stranger = await TestAuthority.create('web.test');
    const { port } = await startPlain(await stranger.issueX509Svid('/server'));
    const ca = encodePem('CERTIFICATE', stranger.certificate);
    const socket = tls.connect({ host: '127.0.0.1', port, ca, checkServerIdentity: () => undefined });
    await once(socket, 'secureConnect');
    expect(socket.authorized).toBe(true);
    expect(peerSpiffeId(socket)).toBeUndefined();
    socket.destroy();
  });

  const unwelcome: readonly {
    readonly name: string;
    readonly refusal: RegExp;
    readonly svid: () => Promise<X509Svid>;
    readonly authorizer?: Authorizer;
    readonly bundles?: () => X509Bundles;
  }[] = [
    {
      name: 'with another ID than the authorized one',
      refusal: /the peer is spiffe:\/\/example.org\/other; expected spiffe:\/\/example.org\/server/,
      svid: () => authority.issueX509Svid('/other'),
    },
    {
      name: 'of a trust domain whose bundle we do not hold',
      refusal: /certificate|bundle/,
      svid: () => foreign.issueX509Svid('/server'),
      authorizer: authorizeAny(),
    },
    {
      name: 'of our trust domain by its name, but signed by a federated authority',
      refusal: /not signed by an authority of its trust domain|intermediate certificate is of trust domain/,
      svid: () => foreign.issueX509Svid(SERVER),
      bundles: () => bundlesOf(authority, foreign),
    },
    {
      name: 'of a federated trust domain by its name, but signed by our authority',
      refusal: /not signed by an authority of its trust domain|intermediate certificate is of trust domain/,
      svid: () => authority.issueX509Svid('spiffe://foreign.test/server'),
      authorizer: authorizeAny(),
      bundles: () => bundlesOf(authority, foreign),
    },
    {
      name: 'with an expired SVID',
      refusal: /expired/,
      svid: () =>
        authority.issueX509Svid('/server', {
          notBefore: new Date(Date.now() - 120_000),
          notAfter: new Date(Date.now() - 60_000),
        }),
    },
    {
      name: 'with two URI names',
      refusal: /more than one URI name/,
      svid: () =>
        authority.issueX509Svid('/server', {
          certificate: { uriNames: [SERVER, 'spiffe://example.org/admin'] },
        }),
    },
    {
      name: 'with a certificate for the host name, but without a SPIFFE ID',
      refusal: /no URI name/,
      svid: () =>
        authority.issueX509Svid('/server', { certificate: { uriNames: [], dnsNames: ['localhost'] } }),
      authorizer: authorizeAny(),
    },
  ];

  it.each(unwelcome)('refuses a server $name, and sends it nothing', async (scenario) => {
    const {
      refusal,
      svid,
      authorizer = authorizeId(SERVER),
      bundles = () => bundlesOf(authority),
    } = scenario;
    const { port, received } = await startPlain(await svid());
    const own = await identity('/client', authority, bundles());
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { answer, error } = await talk(port, { ...tlsClientOptions(own, authorizer), maxVersion });
      expect(answer).toBe('');
      expect(error).toMatch(refusal);
    }
    expect(received).toEqual([]);
  });

  it('accepts a federated server, chains with intermediates and anchors that are not self-signed', async () => {
    const intermediate = await foreign.createIntermediate();
    const leafAuthority = await intermediate.createIntermediate();
    const { port } = await startPlain(await leafAuthority.issueX509Svid('/server'));
    const { trustDomain } = foreign;
    for (const anchor of [foreign, intermediate]) {
      const bundles: X509Bundles = new Map([
        ...bundlesOf(authority),
        [trustDomain, { trustDomain, x509Authorities: [anchor.certificate] }],
      ]);
      const own = await identity('/client', authority, bundles);
      const exchange = await talk(port, tlsClientOptions(own, authorizeMemberOf('spiffe://foreign.test')));
      expect(exchange).toEqual({ answer: 'hello', error: undefined });
    }
  });

  it('takes the newest SVID and bundles for each connection, with options made once', async () => {
    const { port } = await startEcho(await identity('/server'), authorizeAny());
    const own = await identity('/client');
    const options = tlsClientOptions(own, authorizeId(SERVER));
    expect((await talk(port, options)).answer).toContain('hello spiffe://example.org/client,');
    own.set(await authority.issueX509Svid('/client-renewed'));
    expect((await talk(port, options)).answer).toContain('hello spiffe://example.org/client-renewed,');
    own.set(own.svid, bundlesOf(foreign));
    expect((await talk(port, options)).error).toBeDefined();
    own.set(undefined);
    expect(() => tls.connect({ host: '127.0.0.1', port, ...options })).toThrow('nothing is granted');
  });
});

describe('https', () => {
  it('gives each request its caller, and each caller only the server it means', async () => {
    const server = createHttpsServer(
      await identity('/server'),
      authorizeMemberOf('example.org'),
      (request, response) => {
        response.end(peerSpiffeId(request.socket));
      },
    );
    const port = await listen(server);
    const client = await identity('/client');
    const agent = createHttpsAgent(client, authorizeId(SERVER));
    const wrong = createHttpsAgent(client, authorizeId('spiffe://example.org/other'));
    closers.push(() => {
      agent.destroy();
      wrong.destroy();
    });
    expect(await get(port, { agent })).toBe(CLIENT);
    expect(await get(port, tlsClientOptions(client, authorizeId(SERVER)))).toBe(CLIENT);
    await expect(get(port, { agent: wrong })).rejects.toThrow('expected spiffe://example.org/other');
    // Not even through the connection that the first one keeps:
    const other = tlsClientOptions(client, authorizeId('spiffe://example.org/other'));
    await expect(get(port, other)).rejects.toThrow('expected spiffe://example.org/other');
    await expect(get(port, {})).rejects.toThrow();
  });

  it('reuses a connection until the source changes, and fails requests, not callers, without an SVID', async () => {
    const clients: (string | undefined)[] = [];
    const held: (() => void)[] = [];
    const server = createHttpsServer(await identity('/server'), authorizeAny(), (request, response) => {
      const answer = (): void => void response.end(String(request.socket.remotePort));
      if (request.url === '/held') held.push(answer);
      else answer();
    });
    const client = await identity('/client');
    const port = await listen(server);
    const agent = createHttpsAgent(client, authorizeId(SERVER));
    closers.push(() => {
      agent.destroy();
    });
    clients.push(await get(port, { agent }), await get(port, { agent }));
    client.set(await authority.issueX509Svid('/client'));
    clients.push(await get(port, { agent }));
    expect(clients[1]).toBe(clients[0]);
    expect(clients[2]).not.toBe(clients[0]);
    const busy = get(port, { agent, path: '/held' });
    await waitFor('the request to be at the server', () => held.length === 1);
    client.set(await authority.issueX509Svid('/client'));
    held[0]?.();
    expect(await busy).toBe(clients[2]); // undisturbed, and the connection's last
    expect(await get(port, { agent })).not.toBe(clients[2]);
    client.set(undefined);
    await expect(get(port, { agent })).rejects.toThrow('nothing is granted');
    agent.destroy();
    expect(client.listenerCount('update')).toBe(0);
  });
});

describe('http2', () => {
  it('gives each request its caller, and refuses others before there is a session', async () => {
    const sessions: unknown[] = [];
    const server = createHttp2Server(await identity('/server'), authorizeId(CLIENT), (request, response) => {
      response.end(peerSpiffeId(request.socket) ?? 'nobody');
    });
    server.on('session', (session) => sessions.push(session));
    const port = await listen(server);
    expect(await get2(port, tlsClientOptions(await identity('/client'), authorizeId(SERVER)))).toBe(CLIENT);
    await expect(
      get2(port, tlsClientOptions(await identity('/other'), authorizeId(SERVER))),
    ).rejects.toThrow();
    await expect(
      get2(port, tlsClientOptions(await identity('/client'), authorizeId('spiffe://example.org/other'))),
    ).rejects.toThrow('expected spiffe://example.org/other');
    expect(sessions).toHaveLength(1);
  });
});

function get(port: number, options: https.RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    https
      .get({ host: '127.0.0.1', port, path: '/', ...options }, (response) => {
        let text = '';
        response.on('data', (data: Buffer) => (text += data.toString()));
        response.on('end', () => {
          resolve(text);
        });
      })
      .on('error', reject);
  });
}

function get2(port: number, options: http2.SecureClientSessionOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`https://127.0.0.1:${port}`, options);
    session.on('error', reject);
    session.on('close', () => {
      reject(new Error('the session was closed'));
    });
    const stream = session.request({ ':path': '/' });
    let text = '';
    let isAnswered = false;
    stream.on('error', reject);
    stream.on('response', () => (isAnswered = true));
    stream.on('data', (data: Buffer) => (text += data.toString()));
    stream.on('end', () => {
      if (isAnswered) resolve(text);
      session.close();
    });
  });
}
