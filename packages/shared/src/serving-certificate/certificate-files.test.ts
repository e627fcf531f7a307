import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import type { Server } from 'node:https';
import { connect } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createTestCertificate } from '@bonafide/testing/test-certificate';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CertificatePair } from '../crypto/certificate-pair.js';
import { generatePrivateKey } from '../crypto/generate-key.js';
import { encodePem } from '../crypto/pem.js';
import { exportPkcs8 } from '../crypto/private-key-encoding.js';
import { silentLogger } from '../runtime/logger.js';
import { CertificateFiles } from './certificate-files.js';
import { createServingHttpsServer } from './serving-https-server.js';

let folder: string;
let stop: AbortController;

beforeEach(async () => {
  stop = new AbortController();
  folder = await mkdtemp(join(tmpdir(), 'serving-certificate-'));
});

afterEach(async () => {
  stop.abort();
  await rm(folder, { recursive: true });
});

async function makePair(name: string): Promise<CertificatePair> {
  const key = await generatePrivateKey('ec-p256');
  const now = Date.now();
  const der = createTestCertificate({
    publicKey: key,
    subjectName: name,
    issuerName: name,
    issuerPublicKey: key,
    signingKey: key,
    notBefore: new Date(now - 60_000),
    notAfter: new Date(now + 3_600_000),
    uriNames: [],
    dnsNames: [name],
    keyUsages: ['digitalSignature'],
    isCa: false,
    pathLength: undefined,
    extendedKeyUsages: ['serverAuth'],
  });
  return { cert: encodePem('CERTIFICATE', der), key: encodePem('PRIVATE KEY', exportPkcs8(key)) };
}

async function writePair({ cert, key }: CertificatePair): Promise<void> {
  await writeFile(join(folder, 'tls.crt'), cert);
  await writeFile(join(folder, 'tls.key'), key);
}

function open(clock: FakeClock): { files: CertificateFiles; failures: string[] } {
  const failures: string[] = [];
  const log = silentLogger.child({});
  log.error = (_fields: unknown, text?: unknown) => {
    failures.push(String(text));
  };
  const files = new CertificateFiles({
    certificatePath: join(folder, 'tls.crt'),
    privateKeyPath: join(folder, 'tls.key'),
    pollSeconds: 60,
    clock,
    log,
  });
  return { files, failures };
}

describe('CertificateFiles', () => {
  it('refuses to start without a pair, naming the files', async () => {
    const { files } = open(new FakeClock());
    await expect(files.start(stop.signal)).rejects.toThrow(/cannot use the serving certificate .*tls\.crt/);
  });

  it('takes a new pair once both halves match, and keeps the last one until then', async () => {
    const clock = new FakeClock();
    const [first, second] = await Promise.all([makePair('one.test'), makePair('two.test')]);
    await writePair(first);
    const { files, failures } = open(clock);
    await files.start(stop.signal);
    const seen: CertificatePair[] = [];
    files.onChange((pair) => seen.push(pair));

    await writeFile(join(folder, 'tls.crt'), second.cert);
    await clock.advance(60_000);
    await vi.waitFor(
      () => {
        expect(failures).toHaveLength(1);
      },
      { timeout: 30_000 },
    );
    expect(failures[0]).toContain('does not belong to the first certificate');
    expect(failures[0]).not.toContain('BEGIN');
    expect(files.current()).toMatchObject(first);

    await writeFile(join(folder, 'tls.key'), second.key);
    await vi.waitFor(
      async () => {
        await clock.advance(60_000);
        expect(seen).toHaveLength(1);
      },
      { timeout: 30_000 },
    );
    expect(seen[0]).toMatchObject(second);
    expect(files.current()).toMatchObject(second);
  });

  it.each([
    ['gone', undefined],
    ['empty', ''],
    ['not PEM', 'hello'],
    ['huge', 'x'.repeat(1024 * 1024 + 1)],
  ])('keeps the last pair and says so once when the certificate is %s', async (_name, text) => {
    const clock = new FakeClock();
    const pair = await makePair('one.test');
    await writePair(pair);
    const { files, failures } = open(clock);
    await files.start(stop.signal);
    if (text === undefined) await rm(join(folder, 'tls.crt'));
    else await writeFile(join(folder, 'tls.crt'), text);
    await vi.waitFor(
      async () => {
        await clock.advance(60_000);
        expect(failures).toHaveLength(1);
      },
      { timeout: 30_000 },
    );
    for (let round = 0; round < 5; round += 1) {
      await clock.advance(60_000);
      await new Promise(setImmediate);
    }
    expect(failures).toHaveLength(1);
    expect(files.current()).toMatchObject(pair);
  });

  it('lets a server present the new certificate on its next connection', async () => {
    const clock = new FakeClock();
    const [first, second] = await Promise.all([makePair('one.test'), makePair('two.test')]);
    await writePair(first);
    const { files } = open(clock);
    await files.start(stop.signal);
    const server = createServingHttpsServer({
      certificate: files,
      requestLimitMs: 5_000,
      onRequest: (_request, response) => response.end(),
    });
    await listen(server);
    expect(await presentedName(server)).toBe('one.test');
    await writePair(second);
    await vi.waitFor(
      async () => {
        await clock.advance(60_000);
        expect(await presentedName(server)).toBe('two.test');
      },
      { timeout: 30_000 },
    );
    server.close();
  });
});

async function listen(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

async function presentedName(server: Server): Promise<unknown> {
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return subject.CN;
}
