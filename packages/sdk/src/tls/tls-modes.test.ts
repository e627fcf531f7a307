/** TLS in which only one side has an SVID, or one side has a certificate of the web, over real sockets. */
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo, Server as NetServer } from 'node:net';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { bundlesOf, TestIdentity } from '@bonafide/testing/test-identity';
import { createTestParty } from '@bonafide/testing/test-party';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { X509Identity, X509Trust } from '../x509-source.js';
import {
  allowAnonymous,
  allowAnonymousOr,
  authorizeId,
  authorizeMemberOf,
  authorizeWebServer,
  type Authorizer,
} from './authorizer.js';
import { createHttpsServer } from './create-servers.js';
import { createHttpsAgent } from './https-agent.js';
import { peerSpiffeId } from './peer-spiffe-id.js';
import type { WebCertificate } from './secure-context.js';
import { withoutSvid, withWebCertificate, type ServerIdentity } from './server-identity.js';

const SERVER = 'spiffe://example.org/server';
const CLIENT = 'spiffe://example.org/client';

let authority: TestAuthority;
let foreign: TestAuthority;
let server: TestIdentity;
let client: TestIdentity;
let web: WebCertificate;
let webRoot: string;
const closers: (() => void)[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
  foreign = await TestAuthority.create('foreign.test');
  server = new TestIdentity(await authority.issueX509Svid('/server'), bundlesOf(authority));
  client = new TestIdentity(await authority.issueX509Svid('/client'), bundlesOf(authority));
  const root = await createTestParty({ name: 'web root', isCa: true });
  const site = await createTestParty({ name: 'site', issuer: root, dnsNames: ['site.test'] });
  web = {
    cert: encodePem('CERTIFICATE', site.certificate),
    key: encodePem('PRIVATE KEY', exportPkcs8(site.privateKey)),
  };
  webRoot = encodePem('CERTIFICATE', root.certificate);
});

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

interface Listening {
  readonly port: number;
  readonly refusals: string[];
}

async function listen(source: ServerIdentity, authorizer: Authorizer): Promise<Listening> {
  const refusals: string[] = [];
  const listening: NetServer = createHttpsServer(source, authorizer, (request, response) => {
    response.end(`hello ${peerSpiffeId(request.socket) ?? 'whoever you are'}`);
  }).on('tlsClientError', (error: Error) => refusals.push(error.message));
  closers.push(() => listening.close());
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return { port: (listening.address() as AddressInfo).port, refusals };
}

async function ask(
  port: number,
  source: X509Identity | X509Trust,
  authorizer: Authorizer,
  servername?: string,
): Promise<string> {
  const agent = createHttpsAgent(source, authorizer);
  closers.push(() => {
    agent.destroy();
  });
  const named = servername === undefined ? {} : { servername, headers: { host: servername } };
  const request = https.get({ host: '127.0.0.1', port, agent, ...named });
  const [response] = (await once(request, 'response')) as [AsyncIterable<Buffer>];
  let text = '';
  for await (const chunk of response) text += chunk.toString();
  return text;
}

async function svidOf(from: TestAuthority, path: string): Promise<X509Svid> {
  return from.issueX509Svid(path);
}

describe('a server that lets anonymous clients in', () => {
  it('asks nobody for a certificate', async () => {
    const { port } = await listen(server, allowAnonymous());
    expect(await ask(port, withoutSvid(client), authorizeId(SERVER))).toBe('hello whoever you are');
    expect(await ask(port, client, authorizeId(SERVER))).toBe('hello whoever you are');
  });

  it('or, where it asks, still refuses a certificate that is not right', async () => {
    const { port, refusals } = await listen(server, allowAnonymousOr(authorizeId(CLIENT)));
    expect(await ask(port, withoutSvid(client), authorizeId(SERVER))).toBe('hello whoever you are');
    expect(await ask(port, client, authorizeId(SERVER))).toBe(`hello ${CLIENT}`);
    const other = new TestIdentity(await svidOf(authority, '/other'), bundlesOf(authority));
    await expect(ask(port, other, authorizeId(SERVER))).rejects.toThrow();
    const stranger = new TestIdentity(await svidOf(foreign, '/client'), bundlesOf(authority));
    await expect(ask(port, stranger, authorizeId(SERVER))).rejects.toThrow();
    expect(refusals).toEqual([
      `the peer is spiffe://example.org/other; expected ${CLIENT}, or no certificate`,
      expect.stringContaining('there is no bundle for trust domain foreign.test'),
    ]);
  });

  it('is verified by a client that presents nothing', async () => {
    const { port } = await listen(server, allowAnonymous());
    await expect(ask(port, withoutSvid(client), authorizeId(CLIENT))).rejects.toThrow(`expected ${CLIENT}`);
    const impostor = new TestIdentity(await svidOf(foreign, '/server'), bundlesOf(foreign));
    const other = await listen(impostor, allowAnonymous());
    await expect(ask(other.port, withoutSvid(client), authorizeId(SERVER))).rejects.toThrow();
  });
});

describe('a client without an SVID', () => {
  it('is refused by a server that wants one', async () => {
    const { port, refusals } = await listen(server, authorizeMemberOf('example.org'));
    await expect(ask(port, withoutSvid(client), authorizeId(SERVER))).rejects.toThrow();
    expect(refusals).toEqual(['the peer presented no certificate']);
  });
});

describe('a certificate of the web', () => {
  it('is presented to clients that are verified by their SVIDs', async () => {
    const { port, refusals } = await listen(withWebCertificate(server, web), authorizeId(CLIENT));
    const byName = authorizeWebServer({ ca: webRoot });
    expect(await ask(port, client, byName, 'site.test')).toBe(`hello ${CLIENT}`);
    await expect(ask(port, client, byName, 'other.test')).rejects.toThrow('altnames');
    await expect(ask(port, client, authorizeWebServer(), 'site.test')).rejects.toThrow('certificate');
    await expect(ask(port, client, authorizeId(SERVER), 'site.test')).rejects.toThrow();
    await expect(ask(port, withoutSvid(client), byName, 'site.test')).rejects.toThrow();
    expect(refusals).toContain('the peer presented no certificate');
  });

  it('is renewed with the function that gives it', async () => {
    const identity = new TestIdentity(undefined, bundlesOf(authority));
    const other = await createTestParty({ name: 'alone', dnsNames: ['site.test'] });
    const certificates = [
      {
        cert: encodePem('CERTIFICATE', other.certificate),
        key: encodePem('PRIVATE KEY', exportPkcs8(other.privateKey)),
      },
      web,
    ];
    const source = withWebCertificate(identity, () => certificates[0] ?? web);
    const { port } = await listen(source, allowAnonymous());
    const byName = authorizeWebServer({ ca: webRoot });
    await expect(ask(port, client, byName, 'site.test')).rejects.toThrow();
    certificates.shift();
    identity.emit('update');
    expect(await ask(port, client, byName, 'site.test')).toBe('hello whoever you are');
  });

  it('does not let a server of SPIFFE in the place of the web one, nor the other way round', async () => {
    const { port } = await listen(server, allowAnonymous());
    await expect(ask(port, client, authorizeWebServer({ ca: webRoot }), 'site.test')).rejects.toThrow();
    const web2 = await listen(withWebCertificate(server, web), allowAnonymous());
    await expect(ask(web2.port, withoutSvid(client), authorizeId(SERVER), 'site.test')).rejects.toThrow();
  });

  it('leaves an authorizer of servers unable to let a client in', async () => {
    const { port, refusals } = await listen(server, authorizeWebServer());
    await expect(ask(port, client, authorizeId(SERVER))).rejects.toThrow();
    expect(refusals).toEqual([`the peer is ${CLIENT}; expected a server of the web, without an SVID`]);
    const anyone = await listen(server, allowAnonymous());
    await expect(ask(anyone.port, client, allowAnonymous())).rejects.toThrow('a client without an SVID');
  });
});
