import { once } from 'node:events';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from '@bonafide/server/cli/program';
import { parseBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { parseBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { InProcessServer } from './server-in-process.js';
import { createWebCertificate } from './web-certificate.js';

const OWN = parseTrustDomain('example.org');
const BUNDLE_SERVICE = 'spire.api.server.bundle.v1.Bundle';

let folder: TemporaryDirectory;

beforeEach(() => {
  folder = createTemporaryDirectory();
});

afterEach(() => {
  folder.remove();
});

/** One more authority, as a sister server would publish it. */
async function appendAuthority(server: InProcessServer): Promise<Buffer> {
  const { certificate } = await TestAuthority.create('example.org');
  await callUnary(server.local(BUNDLE_SERVICE), 'AppendBundle', {
    x509Authorities: [{ asn1: certificate }],
  });
  return certificate;
}

function startWith(BundlePublisher: ConfigFile): Promise<InProcessServer> {
  return InProcessServer.start({ config: { plugins: { BundlePublisher } } });
}

function certificatesIn({ x509Authorities }: TrustBundle): string[] {
  return x509Authorities.map(({ certificate }) => certificate.toString('hex'));
}

describe('publisher local_file', () => {
  it.each(['spiffe', 'pem', 'jwks'])('writes the bundle as %s, for everybody to read', async (format) => {
    const path = folder.join('bundle');
    const server = await startWith({ local_file: { path, format } });
    const text = await waitFor('the file', () => readFileSync(path, 'utf8'));
    await server.stop();
    expect(statSync(path).mode & 0o777).toBe(0o644);
    if (format === 'pem') expect(parseBundlePem(OWN, text).x509Authorities).toHaveLength(1);
    else if (format === 'spiffe') expect(parseBundleDocument(OWN, text).sequenceNumber).toBeGreaterThan(0);
    else {
      const { keys } = JSON.parse(text) as { keys: Record<string, unknown>[] };
      expect(keys.map(({ kty, kid, use }) => [kty, typeof kid, use])).toEqual([['EC', 'string', undefined]]);
    }
  });

  it('follows every change', async () => {
    mkdirSync(folder.join('public'));
    const path = folder.join('public/bundle.json');
    await using server = await startWith({ local_file: { path } });
    await waitFor('the file', () => statSync(path));
    const certificate = await appendAuthority(server);
    const after = await waitFor('the change', () => {
      const bundle = parseBundleDocument(OWN, readFileSync(path, 'utf8'));
      return certificatesIn(bundle).includes(certificate.toString('hex')) && bundle;
    });
    const own = await callUnary(server.local(BUNDLE_SERVICE), 'GetBundle', {});
    expect(after.sequenceNumber).toBe(own.sequenceNumber);
  });

  it('does not keep the server from starting or serving when the folder is not there', async () => {
    await using server = await startWith({ local_file: { path: folder.join('later/bundle.json') } });
    await appendAuthority(server);
    mkdirSync(folder.join('later'));
    await waitFor('the file', () => statSync(folder.join('later/bundle.json')), { limitMs: 150_000 });
  });
});

interface Put {
  readonly url: string | undefined;
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly clientName: unknown;
  readonly body: string;
}

describe('publisher http_put', () => {
  let target: Server;
  let puts: Put[];
  let answers: { status: number; headers?: Record<string, string>; body?: string }[];
  let url: string;
  let roots: string;

  beforeEach(async () => {
    const web = await createWebCertificate('localhost');
    roots = folder.join('roots.pem');
    writeFileSync(roots, web.root);
    writeFileSync(folder.join('client.crt'), web.cert);
    writeFileSync(folder.join('client.key'), web.key);
    puts = [];
    answers = [];
    target = createServer(
      { ...web, requestCert: true, ca: web.root, rejectUnauthorized: false },
      (request, response) => {
        let body = '';
        request.setEncoding('utf8').on('data', (text: string) => (body += text));
        request.on('end', () => {
          const { authorization, 'content-type': contentType } = request.headers;
          const { socket } = request;
          const peer: { subject?: { CN?: unknown } | undefined } =
            socket instanceof TLSSocket ? socket.getPeerCertificate() : {};
          puts.push({
            url: `${request.method ?? ''} ${request.url ?? ''}`,
            authorization,
            contentType,
            clientName: peer.subject?.CN,
            body,
          });
          const { status, headers = {}, body: text = '' } = answers.shift() ?? { status: 204 };
          response.writeHead(status, headers).end(text);
        });
      },
    );
    target.listen(0, '127.0.0.1');
    await once(target, 'listening');
    url = `https://localhost:${(target.address() as AddressInfo).port}/bundles/own`;
  });

  afterEach(() => {
    target.closeAllConnections();
    target.close();
  });

  it('puts the bundle with its credentials, and again with every change', async () => {
    writeFileSync(folder.join('token'), 'secret-token\n');
    await using server = await startWith({
      http_put: {
        url,
        trusted_roots_path: roots,
        bearer_token_file: folder.join('token'),
        client_cert_path: folder.join('client.crt'),
        client_key_path: folder.join('client.key'),
      },
    });
    const [first] = await waitFor('the first', () => puts.length > 0 && puts);
    expect(first).toMatchObject({
      url: 'PUT /bundles/own',
      authorization: 'Bearer secret-token',
      contentType: 'application/json',
      clientName: 'web server',
    });
    const certificate = await appendAuthority(server);
    await waitFor('the change', () =>
      puts.some(({ body }) =>
        certificatesIn(parseBundleDocument(OWN, body)).includes(certificate.toString('hex')),
      ),
    );
    expect(readFileSync(server.directory.join('server.log'), 'utf8')).not.toContain('secret-token');
  });

  it.each([
    ['an error', { status: 503 }, 'answered the PUT with status 503'],
    [
      'a redirect, which it does not follow',
      { status: 307, headers: { location: '/elsewhere' } },
      'redirects are not followed',
    ],
    ['an endless answer', { status: 200, body: 'x'.repeat(1_000_000) }, 'longer than 65536 bytes'],
  ])('says why and tries again after %s', async (_name, answer, reason) => {
    answers.push(answer);
    await using server = await startWith({ http_put: { url, trusted_roots_path: roots, format: 'pem' } });
    await waitFor('a second try', () => puts.length > 1, { limitMs: 150_000 });
    expect(puts.every((put) => put.url === 'PUT /bundles/own')).toBe(true);
    expect(readFileSync(server.directory.join('server.log'), 'utf8')).toContain(reason);
  });

  it('tells nothing to a target whose certificate it does not trust', async () => {
    await using server = await startWith({ http_put: { url } });
    const logPath = server.directory.join('server.log');
    await waitFor('the failure', () => readFileSync(logPath, 'utf8').includes('cannot publish the bundle'));
    expect(puts).toEqual([]);
  });

  it.each([
    [{ url: 'http://bundles.example/own' }, 'is no https URL'],
    [{ url: 'https://user:pass@bundles.example/own' }, 'carries a password'],
    [{ url: 'https://bundles.example/own', client_cert_path: 'x' }, 'expected both or none'],
    [{ url: 'https://bundles.example/own', surprise: 1 }, 'surprise'],
  ])('refuses the configuration %j', async (config, reason) => {
    await expect(startWith({ http_put: config })).rejects.toThrow(reason);
  });
});

describe('bundle set and list', () => {
  let server: InProcessServer;

  beforeEach(async () => {
    server = await InProcessServer.start();
  });

  afterEach(() => server[Symbol.asyncDispose]());

  async function run(
    argv: readonly string[],
    input = '',
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const host = createRecordedHost({ input, environment: { BONAFIDE_SERVER_SOCKET: server.socketPath } });
    const code = await runServerProgram(argv, host);
    return { code, ...host.printed };
  }

  it('carries sequence number, refresh hint and every key through a document, in and out', async () => {
    const shown = await run(['bundle', 'show', '--format', 'spiffe']);
    const own = JSON.parse(shown.stdout) as { keys: object[]; spiffe_sequence: number };
    expect(own.spiffe_sequence).toBeGreaterThan(0);

    const text = JSON.stringify({ keys: own.keys, spiffe_sequence: 41, spiffe_refresh_hint: 77 });
    for (const name of ['a.example', 'b.example']) {
      const set = await run(['bundle', 'set', '--id', name, '--format', 'spiffe'], text);
      expect(set).toEqual({ code: 0, stdout: 'bundle set.\n', stderr: '' });
      const listed = await run(['bundle', 'list', '--id', name, '--format', 'spiffe']);
      expect(JSON.parse(listed.stdout)).toEqual({
        keys: own.keys,
        spiffe_sequence: 41,
        spiffe_refresh_hint: 77,
      });
    }
    const all = await run(['bundle', 'list', '--format', 'spiffe']);
    expect(all.stdout.match(/"spiffe_sequence": 41/g)).toHaveLength(2);
    expect(all.stdout).toContain('* a.example');
  });

  it('takes several certificates as PEM from standard input', async () => {
    const pem = (await run(['bundle', 'show'])).stdout;
    const { certificate } = await TestAuthority.create('a.example');
    const more = `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64')}\n-----END CERTIFICATE-----\n`;
    expect((await run(['bundle', 'set', '--id', 'a.example'], pem + more)).code).toBe(0);
    const listed = await run(['bundle', 'list', '--id', 'a.example']);
    expect(parseBundlePem(parseTrustDomain('a.example'), listed.stdout).x509Authorities).toHaveLength(2);
  });
});
