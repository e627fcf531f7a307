import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { formatBundleDocument } from '../bundle/bundle-document.js';
import { parseBundleEndpointUrl, type FederationRelationship } from '../bundle/federation-relationship.js';
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { encodePem } from '../crypto/pem.js';
import { systemClock } from '../runtime/clock.js';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.js';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import type { X509Svid } from '../svid/x509-svid.js';
import { ScriptedEndpoint, serveText, type Script } from '@bonafide/testing/scripted-endpoint';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EndpointTrust } from './connect-to-endpoint.js';
import { fetchBundle, type FetchLimits } from './fetch-bundle.js';

const OTHER = parseTrustDomain('other.test');
const ENDPOINT_ID = parseSpiffeId('spiffe://other.test/spire/server');
const LIMITS: FetchLimits = { connectMs: 400, totalMs: 800, largestBytes: 1024 * 1024 };

let other: TestAuthority;
let stranger: TestAuthority;
let svid: X509Svid;
let web: X509Svid;
let document: string;

beforeAll(async () => {
  other = await TestAuthority.create('other.test');
  stranger = await TestAuthority.create('other.test');
  svid = await other.issueX509Svid('/spire/server');
  web = await other.issueX509Svid('/web', { certificate: { uriNames: [], dnsNames: ['localhost'] } });
  document = formatBundleDocument({ ...other.bundle(), sequenceNumber: 7, refreshHintSeconds: 60 });
});

const spiffe = (bundle: TrustBundle = other.bundle(), now = new Date()): EndpointTrust => ({
  kind: 'https_spiffe',
  endpointId: ENDPOINT_ID,
  bundle,
  now,
});
const webTrust = (authority = other): EndpointTrust => ({
  kind: 'https_web',
  authorities: [encodePem('CERTIFICATE', authority.certificate)],
});

interface FetchOptions {
  readonly url: string;
  readonly trust?: EndpointTrust;
  readonly trustDomain?: string;
  readonly signal?: AbortSignal;
  readonly limits?: Partial<FetchLimits>;
}

function fetchFrom(options: FetchOptions): Promise<TrustBundle> {
  const { url, trust = spiffe(), trustDomain = OTHER, signal = new AbortController().signal } = options;
  const relationship: FederationRelationship = {
    trustDomain: parseTrustDomain(trustDomain),
    endpoint: {
      url: parseBundleEndpointUrl(url),
      profile:
        trust.kind === 'https_web'
          ? { kind: 'https_web' }
          : { kind: 'https_spiffe', endpointId: trust.endpointId },
    },
  };
  return fetchBundle({
    relationship,
    trust,
    limits: { ...LIMITS, ...options.limits },
    clock: systemClock,
    signal,
  });
}

describe('an honest endpoint', () => {
  it('is asked for its path with a GET, by SPIFFE ID', async () => {
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(document));
    const bundle = await fetchFrom({ url: `${endpoint.url}some/path?x=1` });
    expect(bundle).toEqual({ ...other.bundle(), sequenceNumber: 7, refreshHintSeconds: 60 });
    expect(endpoint.requests[0]).toMatch(/^GET \/some\/path\?x=1 HTTP\/1\.1\r\n/);
    expect(endpoint.requests[0]?.toLowerCase()).toContain(`\r\nhost: localhost:${endpoint.port}\r\n`);
  });

  it('is authenticated by web PKI under its host name', async () => {
    await using endpoint = await ScriptedEndpoint.overTls(web, serveText(document));
    const bundle = await fetchFrom({ url: endpoint.url, trust: webTrust() });
    expect(bundle.sequenceNumber).toBe(7);
  });

  it('may have its SVID from an intermediate authority', async () => {
    const intermediate = await other.createIntermediate();
    const chained = await intermediate.issueX509Svid('/spire/server');
    await using endpoint = await ScriptedEndpoint.overTls(chained, serveText(document));
    await expect(fetchFrom({ url: endpoint.url })).resolves.toBeDefined();
  });

  it('may be of another trust domain than the bundle it serves', async () => {
    const third = formatBundleDocument({ ...stranger.bundle(), sequenceNumber: 3 });
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(third));
    const bundle = await fetchFrom({ url: endpoint.url, trustDomain: 'third.test' });
    expect(bundle.trustDomain).toBe('third.test');
  });

  it('may send its bundle in chunks', async () => {
    const chunked: Script = (socket) => {
      const half = document.length >> 1;
      const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;
      socket.end(
        `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunk(document.slice(0, half))}${chunk(document.slice(half))}0\r\n\r\n`,
      );
    };
    await using endpoint = await ScriptedEndpoint.overTls(svid, chunked);
    await expect(fetchFrom({ url: endpoint.url })).resolves.toBeDefined();
  });
});

describe('an endpoint that is not who it should be is asked for nothing', () => {
  it.each<[string, () => Promise<{ identity: X509Svid; trust?: EndpointTrust }>, RegExp]>([
    [
      'another SPIFFE ID',
      async () => ({ identity: await other.issueX509Svid('/another') }),
      /it is spiffe:\/\/other\.test\/another; expected/,
    ],
    [
      'the right ID under another authority',
      async () => ({ identity: await stranger.issueX509Svid('/spire/server') }),
      /not signed by an authority|signature/,
    ],
    [
      'an ID of another trust domain',
      async () => ({ identity: await other.issueX509Svid('spiffe://example.org/spire/server') }),
      /for trust domain example\.org, not other\.test/,
    ],
    [
      'an expired SVID',
      () => Promise.resolve({ identity: svid, trust: spiffe(other.bundle(), new Date(Date.now() + 9e7)) }),
      /expired/,
    ],
    ['a web certificate for a SPIFFE endpoint', () => Promise.resolve({ identity: web }), /URI name/],
    [
      'an SVID for a web endpoint',
      () => Promise.resolve({ identity: svid, trust: webTrust() }),
      /by web PKI.*https_spiffe/,
    ],
    [
      'a web certificate of an authority that is not trusted',
      () => Promise.resolve({ identity: web, trust: webTrust(stranger) }),
      /by web PKI/,
    ],
    [
      'a web certificate for another name',
      async () => ({
        identity: await other.issueX509Svid('/web', {
          certificate: { uriNames: [], dnsNames: ['elsewhere.test'] },
        }),
        trust: webTrust(),
      }),
      /by web PKI/,
    ],
  ])('%s', async (_name, make, message) => {
    const { identity, trust = spiffe() } = await make();
    await using endpoint = await ScriptedEndpoint.overTls(identity, serveText(document));
    const attempt = fetchFrom({ url: endpoint.url, trust });
    await expect(attempt).rejects.toMatchObject({ reason: 'unauthenticated' });
    await expect(attempt).rejects.toThrow(message);
    expect(endpoint.requests).toEqual([]);
  });

  it('one that does not speak TLS', async () => {
    await using endpoint = await ScriptedEndpoint.overTcp(serveText(document));
    await expect(fetchFrom({ url: endpoint.url })).rejects.toMatchObject({ reason: 'unavailable' });
  });

  it('one that is not there', async () => {
    const endpoint = await ScriptedEndpoint.overTcp(() => undefined);
    const { url } = endpoint;
    await endpoint[Symbol.asyncDispose]();
    await expect(fetchFrom({ url })).rejects.toThrow(/cannot connect to the bundle endpoint: /);
  });
});

describe('an endpoint that stalls is left', () => {
  const OK = 'HTTP/1.1 200 OK\r\n';

  it('before the handshake', async () => {
    await using endpoint = await ScriptedEndpoint.overTcp(() => undefined);
    await expect(fetchFrom({ url: endpoint.url })).rejects.toThrow(
      'the bundle endpoint took longer than 400 ms to connect and authenticate',
    );
  });

  it.each<[string, Script]>([
    ['after the handshake', () => undefined],
    ['in the status line', (socket) => socket.write('HTTP/1.1 2')],
    ['in the headers', (socket) => socket.write(`${OK}content-type: `)],
    ['before the body', (socket) => socket.write(`${OK}content-length: 100\r\n\r\n`)],
    ['in the body', (socket) => socket.write(`${OK}content-length: 100\r\n\r\n{"keys": [`)],
    ['in a body without an end', (socket) => socket.write(`${OK}\r\n${document}`)],
    [
      'byte by byte',
      (socket) => {
        socket.write(`${OK}\r\n`);
        const timer = setInterval(() => socket.write(' '), 20);
        socket.once('close', () => {
          clearInterval(timer);
        });
      },
    ],
    [
      'with early answers that are none',
      (socket) => {
        const timer = setInterval(() => socket.write('HTTP/1.1 102 Processing\r\n\r\n'), 20);
        socket.once('close', () => {
          clearInterval(timer);
        });
      },
    ],
  ])('%s', async (_name, script) => {
    await using endpoint = await ScriptedEndpoint.overTls(svid, script);
    const startedMs = performance.now();
    await expect(fetchFrom({ url: endpoint.url })).rejects.toThrow(
      'the bundle endpoint took longer than 800 ms to serve its bundle',
    );
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });
});

describe('an endpoint that misbehaves is not believed', () => {
  const status =
    (line: string, body = ''): Script =>
    (socket) =>
      socket.end(`HTTP/1.1 ${line}\r\ncontent-length: ${body.length}\r\n\r\n${body}`);

  it.each<[string, Script | (() => Script), RegExp]>([
    ['301', status('301 Moved\r\nlocation: https://localhost/'), /redirects \(status 301\)/],
    ['302', status('302 Found\r\nlocation: https://localhost/'), /redirects \(status 302\)/],
    ['308', status('308 Moved\r\nlocation: https://localhost/'), /redirects \(status 308\)/],
    ['404', status('404 Not Found', 'no'), /status 404; expected 200/],
    ['204', status('204 No Content'), /status 204/],
    ['500', status('500 Oops'), /status 500/],
    ['101', status('101 Switching\r\nupgrade: x\r\nconnection: upgrade'), /another protocol/],
    [
      'a length over the limit',
      serveText('{}', { 'content-length': '100000000' }),
      /more than 1048576 bytes/,
    ],
    [
      '100 MB without saying so',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const block = Buffer.alloc(1024 * 1024, 0x20);
        let left = 100;
        const pour = (): void => {
          while (left > 0 && !socket.destroyed) {
            left -= 1;
            if (!socket.write(block)) return;
          }
        };
        socket.on('drain', pour);
        pour();
      },
      /more than 1048576 bytes/,
    ],
    [
      'a gzip bomb',
      () => {
        const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20));
        return (socket: Socket) => {
          socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`);
          socket.end(bomb);
        };
      },
      /compressed the bundle/,
    ],
    [
      'a million headers',
      (socket) => socket.end(`HTTP/1.1 200 OK\r\n${'x: y\r\n'.repeat(100_000)}\r\n{}`),
      /did not answer|broke off/,
    ],
    [
      'two lengths',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}'),
      /did not answer/,
    ],
    ['no HTTP', (socket) => socket.end('SSH-2.0-OpenSSH\r\n\r\n'), /did not answer/],
    ['hanging up', (socket) => socket.destroy(), /did not answer/],
    [
      'hanging up in the middle',
      (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"keys'),
      /did not answer|broke off/,
    ],
    ['nothing', serveText(''), /not JSON/],
    ['HTML', serveText('<html>'), /not JSON/],
    ['no keys', serveText('{}'), /no "keys" array/],
    ['keys that are none', serveText('{"keys": 1}'), /no "keys" array/],
    ['a broken certificate', serveText('{"keys":[{"kty":"EC","use":"x509-svid","x5c":["AAAA"]}]}'), /key 0/],
    [
      'what is not UTF-8',
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n');
        socket.end(Buffer.from([0x22, 0xff, 0x22]));
      },
      /not UTF-8/,
    ],
  ])('%s', async (_name, script, message) => {
    const made = script.length === 0 ? (script as () => Script)() : script;
    await using endpoint = await ScriptedEndpoint.overTls(svid, made);
    await expect(
      fetchFrom({ url: endpoint.url, limits: { totalMs: 10_000, connectMs: 5_000 } }),
    ).rejects.toThrow(message);
    expect(endpoint.connections).toBe(1);
  });

  it('serving authorities that do not vouch for itself, though it is of that trust domain', async () => {
    const foreign = formatBundleDocument({ ...stranger.bundle(), sequenceNumber: 8 });
    await using endpoint = await ScriptedEndpoint.overTls(svid, serveText(foreign));
    await expect(fetchFrom({ url: endpoint.url })).rejects.toThrow(
      'its authorities do not vouch for the endpoint that served it',
    );
  });
});

it('ends at once when it is cancelled', async () => {
  await using endpoint = await ScriptedEndpoint.overTls(svid, () => undefined);
  const controller = new AbortController();
  const attempt = fetchFrom({ url: endpoint.url, signal: controller.signal, limits: { totalMs: 60_000 } });
  setTimeout(() => {
    controller.abort();
  }, 100);
  await expect(attempt).rejects.toMatchObject({ reason: 'cancelled' });
  const late = fetchFrom({ url: endpoint.url, signal: AbortSignal.abort() });
  await expect(late).rejects.toMatchObject({ reason: 'cancelled' });
});
