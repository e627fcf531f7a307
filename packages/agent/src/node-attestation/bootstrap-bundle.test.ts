import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { formatBundleDocument } from '@bonafide/shared/bundle/bundle-document';
import { formatBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterEach, describe, expect, it } from 'vitest';
import { loadBootstrapBundle, parseTrustBundle } from './bootstrap-bundle.js';
import { downloadBundle } from './download-bundle.js';

const trustDomain = parseTrustDomain('example.org');
const authority = await TestAuthority.create('example.org');
const bundle = authority.bundle();
const never = new AbortController().signal;

describe('loadBootstrapBundle', () => {
  it.each([
    ['pem', formatBundlePem(bundle)],
    ['spiffe', formatBundleDocument(bundle)],
  ] as const)('reads a file in the format %s', async (format, text) => {
    using directory = createTemporaryDirectory();
    const path = directory.join('bundle');
    await writeFile(path, text);
    const loaded = await loadBootstrapBundle({ kind: 'file', path, format }, trustDomain, never);
    expect(loaded.x509Authorities).toEqual(bundle.x509Authorities);
  });

  it('says how to get the file when it is missing', async () => {
    await expect(
      loadBootstrapBundle({ kind: 'file', path: '/nowhere/bundle.pem', format: 'pem' }, trustDomain, never),
    ).rejects.toThrow(/\/nowhere\/bundle\.pem.*bonafide-server bundle show/);
  });
});

describe('parseTrustBundle', () => {
  it.each([
    ['', 'pem', /no PEM block/],
    ['hello', 'pem', /no PEM block/],
    [formatBundleDocument(bundle), 'pem', /trust_bundle_format is to be spiffe/],
    [formatBundlePem(bundle), 'spiffe', /trust_bundle_format is to be pem/],
    ['{"keys":[]}', 'spiffe', /no X\.509 authority/],
    [formatBundlePem(bundle).replace('MII', 'AAA'), 'pem', /trust bundle b: /],
    ['-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n', 'pem', /"CERTIFICATE" is expected/],
  ] as const)('refuses %j as %s', (text, format, message) => {
    expect(() => parseTrustBundle(text, format, trustDomain, 'b')).toThrow(message);
  });
});

describe('downloadBundle', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  /** A web server whose certificate is good for `localhost`, under an authority that only the test trusts. */
  async function serve(listener: RequestListener): Promise<string> {
    const svid = await authority.issueX509Svid('/web', { dnsNames: ['localhost'] });
    const server = createServer(
      {
        cert: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
        key: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
      },
      listener,
    );
    servers.push(server);
    server.listen(0, 'localhost');
    await once(server, 'listening');
    return `https://localhost:${(server.address() as AddressInfo).port}/bundle`;
  }

  const options = { signal: never, webAuthorities: [formatBundlePem(bundle)] };

  it('fetches what the URL has, through redirects', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/bundle') response.writeHead(302, { location: '/moved' }).end();
      else response.end(formatBundlePem(bundle));
    });
    expect(await downloadBundle(url, options)).toBe(formatBundlePem(bundle));
  });

  it('does not believe a server that the web does not know', async () => {
    const url = await serve((_request, response) => response.end('x'));
    await expect(downloadBundle(url, { signal: never })).rejects.toThrow(
      /cannot fetch the trust bundle.*certificate/,
    );
  });

  it('does not follow to a place that is not https, nor for ever', async () => {
    const away = await serve((_request, response) => {
      response.writeHead(301, { location: 'http://localhost/' }).end();
    });
    await expect(downloadBundle(away, options)).rejects.toThrow(/not https/);
    const circle = await serve((_request, response) =>
      response.writeHead(302, { location: '/bundle' }).end(),
    );
    await expect(downloadBundle(circle, options)).rejects.toThrow(/more than 5 redirects/);
  });

  it('says what the server answered', async () => {
    const url = await serve((_request, response) => response.writeHead(404).end());
    await expect(downloadBundle(url, options)).rejects.toThrow(/status 404/);
  });

  it('stops reading what is too long', async () => {
    const url = await serve((_request, response) => {
      const part = Buffer.alloc(64 * 1024, 'x');
      const write = (): void => {
        while (response.write(part));
        response.once('drain', write);
      };
      write();
    });
    await expect(downloadBundle(url, options)).rejects.toThrow(/longer than \d+ bytes/);
  });

  it('says that nobody is there, and ends with its signal', async () => {
    await expect(downloadBundle('https://localhost:1/', options)).rejects.toThrow(/ECONNREFUSED/);
    const url = await serve(() => undefined);
    await expect(downloadBundle(url, { ...options, signal: AbortSignal.timeout(50) })).rejects.toThrow(
      /abort|timeout/i,
    );
  });
});
