import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import type { Server } from 'node:https';
import { createServer as createNetServer, type AddressInfo, type Server as NameServer } from 'node:net';
import { connect, type PeerCertificate } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { createLogger, silentLogger } from '@bonafide/shared/runtime/logger';
import { AcmeCertificate } from '@bonafide/shared/serving-certificate/acme/acme-certificate';
import { createServingHttpsServer } from '@bonafide/shared/serving-certificate/serving-https-server';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestCertificate } from '@bonafide/testing/test-certificate';
import { waitFor } from '@bonafide/testing/wait-for';

const LOOPBACK = '7f000001';
const PEBBLE = 'github.com/letsencrypt/pebble/v2/cmd/pebble@v2.10.1';
const folder = createTemporaryDirectory();
const pebble = installPebble(folder);
afterAll(() => {
  folder.remove();
});

describe.runIf(pebble !== undefined)('ACME (needs go and its module proxy, for pebble)', () => {
  let authority: ChildProcess;
  let names: NameServer;
  let roots: string;
  let directoryUrl: URL;
  let tlsPort: number;
  let stop: AbortController;
  let server: Server | undefined;

  beforeAll(async () => {
    names = await startNameServer();
    tlsPort = await findFreePort();
    const [port, managementPort] = [await findFreePort(), await findFreePort()];
    roots = await writeTlsFiles(folder);
    writeFileSync(
      folder.join('pebble.json'),
      JSON.stringify({
        pebble: {
          listenAddress: `127.0.0.1:${port}`,
          managementListenAddress: `127.0.0.1:${managementPort}`,
          certificate: folder.join('pebble.crt'),
          privateKey: folder.join('pebble.key'),
          httpPort: 1,
          tlsPort,
          domainBlocklist: ['blocked.example'],
          retryAfter: { authz: 1, order: 1 },
          keyAlgorithm: 'ecdsa',
          profiles: { default: { description: 'default', validityPeriod: 3600 } },
        },
      }),
    );
    authority = spawn(
      pebble ?? '',
      [
        '-config',
        folder.join('pebble.json'),
        '-dnsserver',
        `127.0.0.1:${(names.address() as AddressInfo).port}`,
      ],
      // The authority refuses some nonces on purpose, and sleeps before it validates unless told.
      { env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '20' }, stdio: 'ignore' },
    );
    directoryUrl = new URL(`https://localhost:${port}/dir`);
    await waitFor('pebble', () => canConnect(port), { limitMs: 150_000 });
  });

  afterEach(() => {
    stop.abort();
    server?.closeAllConnections();
    server?.close();
  });

  afterAll(() => {
    authority.kill();
    names.close();
  });

  async function serve(
    options: { domains?: string[]; clock?: FakeClock; log?: typeof silentLogger } = {},
  ): Promise<AcmeCertificate> {
    stop = new AbortController();
    const { domains = ['one.example', 'two.example'], clock = systemClock, log = silentLogger } = options;
    const certificate = new AcmeCertificate({
      directoryUrl,
      email: 'ops@one.example',
      domains,
      cacheFolder: folder.join('cache'),
      trustedRoots: roots,
      clock,
      log,
    });
    server = createServingHttpsServer({
      certificate,
      requestLimitMs: 5_000,
      onRequest: (_request, response) => response.end('hello'),
    });
    server.listen(tlsPort, '127.0.0.1');
    await once(server, 'listening');
    await certificate.start(stop.signal);
    return certificate;
  }

  it('obtains one certificate for all names by tls-alpn-01 on the serving port, and keeps it 0600', async () => {
    const certificate = await serve();
    await waitFor('a certificate', () => certificate.current() !== undefined, { limitMs: 150_000 });
    expect((await presented(tlsPort)).subjectaltname).toBe('DNS:one.example, DNS:two.example');
    await waitFor('the file', () => certificateFile(folder) !== undefined);
    const cached = readdirSync(folder.join('cache'));
    expect(cached.map((name) => statSync(folder.join(`cache/${name}`)).mode & 0o777)).toEqual(
      cached.map(() => 0o600),
    );
    expect(statSync(folder.join('cache')).mode & 0o777).toBe(0o700);
  });

  it('serves the kept certificate at once after a restart, and asks the authority for nothing', async () => {
    const certificate = await serve();
    expect(certificate.current()).toBeDefined();
    const [first, second] = [await presented(tlsPort), certificate.current()];
    expect(first.subjectaltname).toBe('DNS:one.example, DNS:two.example');
    expect(readFileSync(folder.join(`cache/${certificateFile(folder) ?? ''}`), 'utf8')).toBe(
      `${second?.key ?? ''}${second?.cert ?? ''}`,
    );
  });

  it('renews when a third of its life is left', async () => {
    const clock = new FakeClock(new Date());
    const certificate = await serve({ clock });
    const before = certificate.current();
    await clock.advance(35 * 60_000);
    expect(certificate.current()).toBe(before);
    await clock.advance(10 * 60_000);
    await waitFor(
      'the new certificate',
      async () => {
        await clock.advance(1_000); // the polls of the order
        return certificate.current() !== before;
      },
      { limitMs: 150_000 },
    );
    const cert = await presented(tlsPort);
    expect(cert.subjectaltname).toBe('DNS:one.example, DNS:two.example');
    expect(encodePem('CERTIFICATE', cert.raw)).toBe(
      `${certificate.current()?.cert.split('-----END CERTIFICATE-----\n')[0] ?? ''}-----END CERTIFICATE-----\n`,
    );
  });

  it('does not chase a clock by which every new certificate is due already', async () => {
    const logFile = folder.join('stale.log');
    const log = createLogger({ level: 'info', format: 'json', file: logFile });
    const clock = new FakeClock(new Date(Date.now() + 7_200_000));
    await serve({ clock, log });
    await waitFor(
      'the complaint',
      async () => {
        await clock.advance(1_000); // the polls of the order
        return readFileSync(logFile, 'utf8').includes('compare the clocks');
      },
      { limitMs: 150_000 },
    );
  });

  it("gives a server's bundle endpoint its certificate", async () => {
    const acme = {
      directory_url: directoryUrl.href,
      domain_name: 'one.example',
      email: 'ops@one.example',
      tos_accepted: true,
    };
    const endpoint = { address: '127.0.0.1', port: tlsPort, profile: { https_web: { acme } } };
    await using launched = await launchServer({
      directory: folder.path,
      config: { server: { federation: { bundle_endpoint: endpoint } } },
      // The authority's own certificate is of no public root.
      env: { NODE_EXTRA_CA_CERTS: folder.join('pebble.crt') },
    });
    const names = await waitFor(
      'a certificate',
      () =>
        presented(tlsPort).then(
          ({ subjectaltname }) => subjectaltname,
          () => undefined,
        ),
      { limitMs: 150_000, explain: () => launched.process.output },
    );
    expect(names).toBe('DNS:one.example');
    expect(statSync(folder.join('server/bundle-acme')).mode & 0o777).toBe(0o700);
  });

  it('orders anew when the names have changed, and says what the authority refuses', async () => {
    const logFile = folder.join('log');
    const log = createLogger({ level: 'error', format: 'json', file: logFile });
    const certificate = await serve({ domains: ['blocked.example'], log });
    expect(certificate.current()).toBeUndefined();
    await waitFor('the refusal', () => readFileSync(logFile, 'utf8').includes('rejectedIdentifier'), {
      limitMs: 150_000,
    });
    await expect(presented(tlsPort)).rejects.toThrow();
  });
});

function certificateFile(directory: TemporaryDirectory): string | undefined {
  return readdirSync(directory.join('cache')).find((name) => /^[^.].*certificate\.pem$/.test(name));
}

/** Undefined where there is no Go, or nothing to fetch pebble from. */
function installPebble(directory: TemporaryDirectory): string | undefined {
  if (spawnSync('go', ['version']).status !== 0) return undefined;
  try {
    execFileSync('go', ['install', PEBBLE], {
      env: { ...process.env, GOBIN: directory.path },
      timeout: 240_000,
      stdio: 'ignore',
    });
    return directory.join('pebble');
  } catch {
    return undefined;
  }
}

/** Answers every question for an address with this machine, over TCP (RFC 1035 section 4). */
async function startNameServer(): Promise<NameServer> {
  const server = createNetServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (message) => {
      const query = message.subarray(2);
      const end = query.indexOf(0, 12) + 5;
      const isAddress = query.readUInt16BE(end - 4) === 1;
      const header = Buffer.from(query.subarray(0, 12));
      header.writeUInt16BE(0x8180, 2);
      header.writeUInt16BE(isAddress ? 1 : 0, 6);
      header.writeUInt32BE(0, 8);
      const address = Buffer.from(`c00c00010001000000010004${LOOPBACK}`, 'hex');
      const answer = Buffer.concat([header, query.subarray(12, end), ...(isAddress ? [address] : [])]);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** The authority's own TLS certificate. @returns what to trust it by. */
async function writeTlsFiles(directory: TemporaryDirectory): Promise<string> {
  const key = await generatePrivateKey('ec-p256');
  const certificate = createTestCertificate({
    publicKey: key,
    subjectName: 'localhost',
    issuerName: 'localhost',
    issuerPublicKey: key,
    signingKey: key,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    uriNames: [],
    dnsNames: ['localhost'],
    keyUsages: ['digitalSignature', 'keyCertSign'],
    isCa: true,
    pathLength: undefined,
    extendedKeyUsages: ['serverAuth'],
  });
  writeFileSync(directory.join('pebble.crt'), encodePem('CERTIFICATE', certificate));
  writeFileSync(directory.join('pebble.key'), encodePem('PRIVATE KEY', exportPkcs8(key)));
  return encodePem('CERTIFICATE', certificate);
}

async function presented(port: number): Promise<PeerCertificate> {
  const socket = connect({ port, host: '127.0.0.1', servername: 'one.example', rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerCertificate();
  } finally {
    socket.destroy();
  }
}

async function canConnect(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  try {
    await once(socket, 'secureConnect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
