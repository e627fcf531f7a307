/** The dispatcher with undici's fetch and Node's own: rotation, refusals, plaintext, redirects, and its end. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { bundlesOf, TestIdentity } from '@bonafide/testing/test-identity';
import { fetch as undiciFetch, request, type Dispatcher } from 'undici';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorizeAny, authorizeId } from '../tls/authorizer.js';
import { createHttpsServer } from '../tls/create-servers.js';
import { peerSpiffeId } from '../tls/peer-spiffe-id.js';
import { createFetchDispatcher } from './fetch-dispatcher.js';

const SERVER = 'spiffe://example.org/server';

let authority: TestAuthority;
let identity: TestIdentity;
let origin: string;
let plainOrigin: string;
let dispatcher: Dispatcher;
let connections: number;
let finishSlow: () => void;
const servers: NetServer[] = [];

beforeEach(async () => {
  authority = await TestAuthority.create('example.org');
  identity = new TestIdentity(await authority.issueX509Svid('/client'), bundlesOf(authority));
  connections = 0;
  const own = new TestIdentity(await authority.issueX509Svid('/server'), bundlesOf(authority));
  const server = createHttpsServer(own, authorizeAny(), (incoming, response) => {
    const id = peerSpiffeId(incoming.socket) ?? 'nobody';
    if (incoming.url === '/away') response.writeHead(302, { location: `${plainOrigin}/secret` }).end();
    else if (incoming.url === '/slow') finishSlow = () => response.end(id);
    else response.end(id);
  }).on('secureConnection', () => (connections += 1));
  const plain = createServer((_request, response) => response.end('in the clear'));
  [origin, plainOrigin] = [
    `https://127.0.0.1:${await listen(server)}`,
    `http://127.0.0.1:${await listen(plain)}`,
  ];
  dispatcher = createFetchDispatcher(identity, {
    authorize: authorizeId(SERVER),
    agent: { connections: 1 },
  });
});

afterEach(async () => {
  await dispatcher.destroy();
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: NetServer): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function ask(path = '/'): Promise<string> {
  return (await undiciFetch(origin + path, { dispatcher })).text();
}

describe('createFetchDispatcher', () => {
  it("works with Node's own fetch", async () => {
    const init: object = { dispatcher }; // Node's types are those of an older undici
    const response = await fetch(origin, init);
    expect(await response.text()).toBe('spiffe://example.org/client');
  });

  it('keeps a connection until the SVID changes, and disturbs nothing in flight', async () => {
    await ask();
    await ask();
    expect(connections).toBe(1);
    const slow = ask('/slow');
    await expect.poll(() => typeof finishSlow).toBe('function');
    identity.set(await authority.issueX509Svid('/client/renewed'));
    expect(await ask()).toBe('spiffe://example.org/client/renewed');
    expect(connections).toBe(2);
    finishSlow();
    expect(await slow).toBe('spiffe://example.org/client');
    expect(identity.listenerCount('update')).toBe(1);
  });

  it('sends nothing to another server, without an SVID, or in the clear, not even by a redirect', async () => {
    const other = createFetchDispatcher(identity, { authorize: authorizeId('spiffe://example.org/other') });
    await expect(request(origin, { dispatcher: other })).rejects.toThrow(
      'expected spiffe://example.org/other',
    );
    await other.close();
    await expect(request(plainOrigin, { dispatcher })).rejects.toThrow('in the clear');
    await expect(undiciFetch(plainOrigin, { dispatcher })).rejects.toThrow();
    await expect(ask('/away')).rejects.toThrow();
    identity.set(undefined);
    await expect(request(origin, { dispatcher })).rejects.toThrow('nothing is granted');
  });

  it('lets go of the source when it is closed, and takes nothing more', async () => {
    await ask();
    await dispatcher.close();
    expect(identity.listenerCount('update')).toBe(0);
    await expect(ask()).rejects.toThrow();
    await new Promise<void>((resolve) => {
      dispatcher.destroy(resolve);
    });
  });
});
