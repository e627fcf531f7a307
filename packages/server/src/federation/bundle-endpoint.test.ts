import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { formatBundleDocument, parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BundleEndpoint } from './bundle-endpoint.js';
import { svidCertificate } from './svid-certificate.js';

let authority: TestAuthority;
let svid: X509Svid;
let bundle: TrustBundle | undefined;
let endpoint: BundleEndpoint;
let port: number;
const listeners = new Set<(svid: X509Svid) => void>();

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
});

beforeEach(async () => {
  svid = await authority.issueX509Svid('/spire/server');
  bundle = { ...authority.bundle(), sequenceNumber: 7 };
  const serverSvid = {
    current: () => svid,
    onUpdate: (listener: (svid: X509Svid) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  endpoint = new BundleEndpoint({
    address: '127.0.0.1',
    port: 0,
    refreshHintSeconds: 600,
    certificate: svidCertificate(serverSvid),
    bundle: () => bundle,
    maximumConnections: 8,
    log: silentLogger,
  });
  port = await endpoint.listen();
});

afterEach(() => {
  endpoint.stop();
});

async function open(): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('close', () => {
      reject(new Error('closed'));
    });
  });
  return socket;
}

/** Sends the text as it is and reads until the server hangs up or the answer is whole. */
async function say(text: string): Promise<{ head: string; body: string }> {
  const socket = await open();
  let answer = '';
  socket.on('data', (bytes: Buffer) => (answer += bytes.toString()));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(text);
  await closed;
  const [head = '', ...body] = answer.split('\r\n\r\n');
  return { head, body: body.join('\r\n\r\n') };
}

const get = (path: string, more = ''): Promise<{ head: string; body: string }> =>
  say(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${more}\r\n`);

describe('the bundle endpoint', () => {
  it('serves our bundle with its sequence number and the refresh hint that is configured', async () => {
    const { head, body } = await get('/');
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head.toLowerCase()).toContain('\r\ncontent-type: application/json\r\n');
    expect(head.toLowerCase()).toContain('\r\ncache-control: no-cache\r\n');
    expect(parseBundleDocument(authority.trustDomain, body)).toEqual({ ...bundle, refreshHintSeconds: 600 });
  });

  it('serves the newest bundle, and nothing to those who have it', async () => {
    const before = await get('/');
    const etag = /etag: (.*)/i.exec(before.head)?.[1] ?? '';
    // As caches send it too: several, and weakened by whoever compressed on the way.
    for (const tags of [etag, `"x", W/${etag}`]) {
      expect((await get('/', `if-none-match: ${tags}\r\n`)).head).toMatch(/^HTTP\/1\.1 304 /);
    }
    const old = 'if-modified-since: Fri, 01 Jan 2100 00:00:00 GMT\r\n';
    expect((await get('/', old)).head).toMatch(/^HTTP\/1\.1 200 /);
    bundle = { ...authority.bundle(), sequenceNumber: 8 };
    const after = await get('/', `if-none-match: ${etag}\r\n`);
    expect(after.body).toBe(formatBundleDocument({ ...bundle, refreshHintSeconds: 600 }));
  });

  it('answers HEAD without a body, and a query as if it were not there', async () => {
    const { head, body } = await say('HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    expect(body).toBe('');
    expect((await get('/?x=1')).head).toMatch(/^HTTP\/1\.1 200 /);
  });

  it.each([
    ['another path', 'GET /other HTTP/1.1\r\nhost: x\r\n\r\n', 404],
    ['a path that climbs', 'GET /../ HTTP/1.1\r\nhost: x\r\n\r\n', 404],
    ['POST', 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc', 405],
    ['DELETE', 'DELETE / HTTP/1.1\r\nhost: x\r\n\r\n', 405],
    ['a body', 'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n', 413],
    ['a body in chunks', 'GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n', 413],
    ['large headers', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431],
    ['no HTTP', 'hello\r\n\r\n', 400],
    [
      'two lengths',
      'GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
      400,
    ],
  ])('refuses %s and hangs up', async (_name, text, status) => {
    const { head } = await say(text);
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  });

  it('says so when there is no bundle yet', async () => {
    bundle = undefined;
    expect((await get('/')).head).toMatch(/^HTTP\/1\.1 503 /);
  });

  it('presents a new SVID on its next connection', async () => {
    const first = await open();
    expect(first.getPeerX509Certificate()?.raw.equals(svid.certificateChain[0] ?? Buffer.alloc(0))).toBe(
      true,
    );
    svid = await authority.issueX509Svid('/spire/server');
    for (const listener of listeners) listener(svid);
    const second = await open();
    expect(second.getPeerX509Certificate()?.raw.equals(svid.certificateChain[0] ?? Buffer.alloc(0))).toBe(
      true,
    );
    expect(second.isSessionReused()).toBe(false);
  });

  it('speaks TLS 1.2 and 1.3, and no CBC or static RSA (Mozilla intermediate)', async () => {
    const protocolOf = (options: object): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options }, () => {
          resolve(socket.getProtocol() ?? '');
          socket.destroy();
        });
        socket.once('error', () => {
          resolve('refused');
        });
      });
    expect(await protocolOf({ maxVersion: 'TLSv1.2' })).toBe('TLSv1.2');
    expect(await protocolOf({})).toBe('TLSv1.3');
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' };
    expect(await protocolOf(old)).toBe('refused');
    const weak = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA' };
    expect(await protocolOf(weak)).toBe('refused');
  });

  it('takes so many connections and no more, and recovers', async () => {
    const sockets = await Promise.all(Array.from({ length: 8 }, () => open()));
    await expect(open()).rejects.toThrow();
    for (const socket of sockets) socket.destroy();
    await waitFor('room for one more', () => get('/').then(({ head }) => head.includes('200')));
  });

  it('survives those who speak no TLS', async () => {
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve));
    expect((await get('/')).head).toContain('200');
  });
});
