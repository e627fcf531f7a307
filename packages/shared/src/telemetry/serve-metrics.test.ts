import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { request, type RequestOptions } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkServerIdentity, TLSSocket } from 'node:tls';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { LivePart } from '../config/live-config.js';
import { encodePem } from '../crypto/pem.js';
import { exportPkcs8 } from '../crypto/private-key-encoding.js';
import { systemClock } from '../runtime/clock.js';
import { silentLogger } from '../runtime/logger.js';
import type { X509Svid } from '../svid/x509-svid.js';
import { MetricRegistry } from './metric-registry.js';
import type { CurrentSvid, MetricsIdentity } from './metrics-tls.js';
import { serveMetrics, type ServedMetrics } from './serve-metrics.js';
import { telemetrySchema } from './telemetry-config.js';

interface Config {
  readonly telemetry: ReturnType<typeof telemetrySchema.parse>;
}

const SCRAPER = 'spiffe://example.org/prometheus';
let authority: TestAuthority;
let own: X509Svid;
let folder: string;
let served: ServedMetrics | undefined;
let parts: LivePart<Config>[] = [];

beforeAll(async () => {
  authority = await TestAuthority.create('example.org');
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'serve-metrics-'));
  own = await authority.issueX509Svid('/spire/server');
  parts = [];
});

afterEach(async () => {
  await served?.close();
  served = undefined;
  await rm(folder, { recursive: true });
});

function configOf(tls?: object): Config {
  const Prometheus = { host: '127.0.0.1', port: 0, ...(tls === undefined ? {} : { tls }) };
  return { telemetry: telemetrySchema.parse({ Prometheus }) };
}

async function serve(
  config: Config,
  hasIdentity = true,
  more: Partial<MetricsIdentity> = {},
): Promise<number> {
  const registry = new MetricRegistry();
  registry.counter('things_total', 'things', { kind: ['a'] });
  served = await serveMetrics({
    config,
    registry,
    identity: hasIdentity
      ? {
          svid: () => own,
          bundle: (name) => (name === 'example.org' ? authority.bundle() : undefined),
          ...more,
        }
      : undefined,
    live: { add: (part) => void parts.push(part) },
    clock: systemClock,
    log: silentLogger,
  });
  return served?.port ?? 0;
}

function pemOf(svid: X509Svid): { cert: string; key: string } {
  return {
    cert: svid.certificateChain.map((der) => encodePem('CERTIFICATE', der)).join(''),
    key: encodePem('PRIVATE KEY', exportPkcs8(svid.privateKey)),
  };
}

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
  readonly serial: string | undefined;
}

function scrape(port: number, options: RequestOptions = {}, isPlain = false): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = isPlain ? plainRequest : request;
    const trust = {
      ca: encodePem('CERTIFICATE', authority.certificate),
      checkServerIdentity: () => undefined,
    };
    call({ host: '127.0.0.1', port, path: '/metrics', agent: false, ...trust, ...options }, (response) => {
      const { socket } = response;
      const serial = socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.serialNumber : undefined;
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('end', () => {
        resolve({ status: response.statusCode, text, serial });
      });
    })
      .once('error', reject)
      .end();
  });
}

describe('serveMetrics', () => {
  it('serves nothing unless it is told to', async () => {
    const config = { telemetry: telemetrySchema.parse({}) };
    expect(await serve(config)).toBe(0);
  });

  it('serves plain HTTP without TLS, /metrics alone, to be read alone', async () => {
    const port = await serve(configOf());
    const { status, text } = await scrape(port, {}, true);
    expect(status).toBe(200);
    expect(text).toContain('things_total{kind="a"} 0');
    expect(text).toContain('process_resident_memory_bytes');
    expect((await scrape(port, { path: '/' }, true)).status).toBe(404);
    expect((await scrape(port, { method: 'POST' }, true)).status).toBe(405);
  });

  it('serves under the SVID of the moment, and shows the next one from the next connection on', async () => {
    const port = await serve(configOf({ use_spire_svid: true }));
    const before = await scrape(port);
    expect(before.status).toBe(200);
    own = await authority.issueX509Svid('/spire/server');
    const after = await scrape(port);
    expect(after.status).toBe(200);
    expect(after.serial).not.toBe(before.serial);
  });

  it('answers authorized SPIFFE IDs alone: not others of the trust domain, strangers, expired ones or nobody', async () => {
    const port = await serve(configOf({ use_spire_svid: true, authorized_spiffe_ids: [SCRAPER] }));
    expect((await scrape(port, pemOf(await authority.issueX509Svid('/prometheus')))).status).toBe(200);
    const stranger = await TestAuthority.create('example.org');
    const other = await TestAuthority.create('other.test');
    const past = { notBefore: new Date(Date.now() - 7_200_000), notAfter: new Date(Date.now() - 3_600_000) };
    for (const svid of [
      await authority.issueX509Svid('/web'),
      await stranger.issueX509Svid('/prometheus'),
      await other.issueX509Svid('/prometheus'),
      await authority.issueX509Svid('/prometheus', past),
    ]) {
      await expect(scrape(port, pemOf(svid))).rejects.toThrow();
    }
    await expect(scrape(port)).rejects.toThrow();
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const svid = pemOf(await authority.issueX509Svid('/prometheus'));
      expect((await scrape(port, { ...svid, maxVersion })).status).toBe(200);
      await expect(scrape(port, { maxVersion })).rejects.toThrow();
    }
  });

  it('serves under files to clients of an authority, and takes over other files by a reload, or none of it', async () => {
    const write = async (name: string, svid: X509Svid): Promise<{ cert_file: string; key_file: string }> => {
      const { cert, key } = pemOf(svid);
      const files = { cert_file: join(folder, `${name}.pem`), key_file: join(folder, `${name}.key`) };
      await writeFile(files.cert_file, cert);
      await writeFile(files.key_file, key);
      return files;
    };
    const clientCa = join(folder, 'ca.pem');
    await writeFile(clientCa, encodePem('CERTIFICATE', authority.certificate));
    const first = await write('first', own);
    const port = await serve(configOf({ ...first, client_ca_file: clientCa }), false);
    const client = pemOf(await authority.issueX509Svid('/anybody'));
    const before = await scrape(port, client);
    expect(before.status).toBe(200);
    await expect(scrape(port)).rejects.toThrow();
    const stranger = await TestAuthority.create('example.org');
    await expect(scrape(port, pemOf(await stranger.issueX509Svid('/anybody')))).rejects.toThrow();

    const [part] = parts;
    if (part === undefined) throw new Error('nothing can be reloaded');
    const missing = { cert_file: join(folder, 'none.pem'), key_file: first.key_file };
    await expect(Promise.resolve(part.prepare(configOf(missing)))).rejects.toThrow('none.pem');
    expect((await scrape(port, client)).serial).toBe(before.serial);
    const second = await write('second', await authority.issueX509Svid('/renewed'));
    (await part.prepare(configOf(second)))();
    const after = await scrape(port);
    expect(after.status).toBe(200);
    expect(after.serial).not.toBe(before.serial);
  });

  it('serves under a certificate with the names that are configured, for clients that verify names of hosts', async () => {
    const signals: AbortSignal[] = [];
    const withDnsNames = async (dnsNames: readonly string[], signal: AbortSignal): Promise<CurrentSvid> => {
      signals.push(signal);
      const named = await authority.issueX509Svid('/spire/server', { dnsNames });
      return () => named;
    };
    const named = (name: string): Config => configOf({ use_spire_svid: true, dns_names: [name] });
    const port = await serve(named('a.example.org'), true, { withDnsNames });
    const asks = async (servername: string): Promise<number | undefined> =>
      (await scrape(port, { servername, checkServerIdentity })).status;
    expect(await asks('a.example.org')).toBe(200);
    await expect(asks('b.example.org')).rejects.toThrow("does not match certificate's altnames");

    const [part] = parts;
    if (part === undefined) throw new Error('nothing can be reloaded');
    await part.prepare(named('c.example.org')); // of a reload that something else refuses
    (await part.prepare(named('b.example.org')))();
    expect(await asks('b.example.org')).toBe(200);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, false]);
    await served?.close();
    served = undefined;
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
  });

  it('serves under the SVID of an entry, and under none while there is none', async () => {
    const held: X509Svid[] = [];
    const asked: string[] = [];
    const ofEntry = (spiffeId: string): CurrentSvid => {
      asked.push(spiffeId);
      return () => held[0];
    };
    const spiffeId = 'spiffe://example.org/metrics';
    const port = await serve(configOf({ use_spire_svid: true, spiffe_id: spiffeId }), true, { ofEntry });
    await expect(scrape(port)).rejects.toThrow();
    held.push(await authority.issueX509Svid('/metrics', { dnsNames: ['node.example.org'] }));
    const { status } = await scrape(port, { servername: 'node.example.org', checkServerIdentity });
    expect([status, asked]).toEqual([200, [spiffeId]]);
  });

  it('refuses names that a program cannot have, and says what it can', async () => {
    await expect(serve(configOf({ use_spire_svid: true, dns_names: ['a.example.org'] }))).rejects.toThrow(
      'expected spiffe_id, that of an entry with DNS names',
    );
    await expect(serve(configOf({ use_spire_svid: true, spiffe_id: SCRAPER }))).rejects.toThrow(
      'expected dns_names for names in its own SVID',
    );
  });

  it('says what a program without an SVID needs instead', async () => {
    await expect(serve(configOf({ use_spire_svid: true }), false)).rejects.toThrow(
      'expected cert_file, key_file and client_ca_file',
    );
  });

  it('says which address it cannot have', async () => {
    const port = await serve(configOf());
    const taken = { telemetry: telemetrySchema.parse({ Prometheus: { host: '127.0.0.1', port } }) };
    const registry = new MetricRegistry();
    const parts = { registry, identity: undefined, live: undefined, clock: systemClock, log: silentLogger };
    await expect(serveMetrics({ config: taken, ...parts })).rejects.toThrow(
      `telemetry.Prometheus cannot listen on 127.0.0.1:${port}`,
    );
  });
});
