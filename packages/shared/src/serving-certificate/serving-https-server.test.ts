import { once } from 'node:events';
import type { Server } from 'node:https';
import { connect as connectTcp, type AddressInfo } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { createTestCertificate } from '@bonafide/testing/test-certificate';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CertificatePair } from '../crypto/certificate-pair.js';
import { generatePrivateKey } from '../crypto/generate-key.js';
import { encodePem } from '../crypto/pem.js';
import { exportPkcs8 } from '../crypto/private-key-encoding.js';
import { createValidationCertificate } from './acme/validation-certificate.js';
import type { ServingCertificate } from './serving-certificate.js';
import { createServingHttpsServer } from './serving-https-server.js';

const HANDSHAKE_LIMIT_MS = 300;
const ACME = { ALPNProtocols: ['acme-tls/1'], servername: 'one.example', rejectUnauthorized: false };

let pair: CertificatePair;
let validation: CertificatePair;
let server: Server;
let port: number;

beforeAll(async () => {
  const key = await generatePrivateKey('ec-p256');
  const der = createTestCertificate({
    ...{ publicKey: key, issuerPublicKey: key, signingKey: key },
    ...{ subjectName: 'web server', issuerName: 'web server' },
    ...{ notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000) },
    ...{ uriNames: [], dnsNames: ['one.example'], keyUsages: ['digitalSignature'], isCa: false },
    ...{ pathLength: undefined, extendedKeyUsages: ['serverAuth'] },
  });
  pair = { cert: encodePem('CERTIFICATE', der), key: encodePem('PRIVATE KEY', exportPkcs8(key)) };
  validation = await createValidationCertificate('one.example', 'token.thumbprint', new Date());
});

beforeEach(async () => {
  const certificate: ServingCertificate = {
    current: () => pair,
    onChange: () => () => undefined,
    challenge: (name) => (name === 'one.example' ? validation : undefined),
    start: () => Promise.resolve(),
  };
  server = createServingHttpsServer({
    certificate,
    requestLimitMs: 5_000,
    handshakeLimitMs: HANDSHAKE_LIMIT_MS,
    onRequest: (_request, response) => response.end('hello'),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
});

afterEach(() => {
  server.close();
});

function openConnections(): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

async function secured(options: object): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

describe('an HTTPS server on whose port an ACME authority validates', () => {
  it('shows the validation certificate to whoever speaks acme-tls/1, and its own to all others', async () => {
    const acme = await secured(ACME);
    expect(acme.alpnProtocol).toBe('acme-tls/1');
    expect(encodePem('CERTIFICATE', acme.getPeerX509Certificate()?.raw ?? Buffer.alloc(0))).toBe(
      validation.cert,
    );
    acme.destroy();
    const web = await secured({ rejectUnauthorized: false, servername: 'one.example' });
    expect(encodePem('CERTIFICATE', web.getPeerX509Certificate()?.raw ?? Buffer.alloc(0))).toBe(pair.cert);
    web.destroy();
  });

  it('answers no validation of a name that is not awaited', async () => {
    await expect(secured({ ...ACME, servername: 'two.example' })).rejects.toThrow();
  });

  it('gives no document to whoever speaks acme-tls/1, and waits for nobody to hang up', async () => {
    const acme = await secured({ ...ACME, allowHalfOpen: true });
    let answer = '';
    acme.on('data', (bytes: Buffer) => (answer += bytes.toString()));
    acme.on('error', () => undefined);
    acme.write('GET / HTTP/1.1\r\nhost: one.example\r\n\r\n');
    await waitFor('the connection to be gone', async () => (await openConnections()) === 0);
    expect(answer).toBe('');
    acme.destroy();
  });

  it('waits for the whole of a hello only so long, however often a byte of it comes', async () => {
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.on('error', () => undefined);
    const closed = once(socket, 'close');
    socket.write(Buffer.from([22, 3, 1, 0x40, 0, 1]));
    const drip = setInterval(() => socket.write(Buffer.from([0])), HANDSHAKE_LIMIT_MS / 10);
    try {
      const began = Date.now();
      await closed;
      expect(Date.now() - began).toBeLessThan(HANDSHAKE_LIMIT_MS * 10);
    } finally {
      clearInterval(drip);
    }
    expect(await openConnections()).toBe(0);
  });
});
