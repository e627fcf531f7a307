import { setImmediate as nextTurn } from 'node:timers/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { importSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { sleep, systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { createTestCertificate } from '@bonafide/testing/test-certificate';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sampleEntry, TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { svidContentKey } from '../svid-cache/cached-entry.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import { SvidRenewal } from './svid-renewal.js';
import type { StoredSvid } from './svid-files.js';
import { newlyTainted } from './tainted-svids.js';
import type { SigningRequest, SigningResult, X509SvidSigner } from './x509-svid-signer.js';

let stolen: TestAuthority;
let fresh: TestAuthority;

/** Signs with one key pair's certificate for all, so that the test's own work does not weigh. */
class PacedServer implements X509SvidSigner {
  authority: TestAuthority;
  readonly batches: (readonly string[])[] = [];
  latencyMs = 1;
  /** How many it signs before it asks for patience. */
  allowance = Number.POSITIVE_INFINITY;
  refusals = 0;

  constructor(authority: TestAuthority) {
    this.authority = authority;
  }

  async sign(requests: readonly SigningRequest[]): Promise<readonly SigningResult[]> {
    if (requests.length > this.allowance) {
      this.refusals += 1;
      this.allowance = 1_000;
      throw new BonafideError('resource_exhausted', 'not so fast', { retryAfterMs: 20 });
    }
    this.allowance -= requests.length;
    this.batches.push(requests.map(({ entryId }) => entryId));
    const { authority } = this;
    await sleep(systemClock, this.latencyMs);
    const results: SigningResult[] = [];
    for (const [index, { csr }] of requests.entries()) {
      if (index % 8 === 0) await nextTurn();
      results.push({ kind: 'signed', certificateChain: [certify(csr, authority)] });
    }
    return results;
  }
}

function certify(csr: Buffer, authority: TestAuthority): Buffer {
  const { uriNames, spki } = parseCertificateSigningRequest(csr);
  const now = systemClock.now().getTime();
  return createTestCertificate({
    publicKey: importSpki(spki),
    subjectName: 'test workload',
    issuerName: 'authority',
    issuerPublicKey: authority.privateKey,
    signingKey: authority.privateKey,
    notBefore: new Date(now - 10_000),
    notAfter: new Date(now + 3600_000),
    uriNames,
    dnsNames: [],
    keyUsages: ['digitalSignature'],
    isCa: false,
    pathLength: undefined,
    extendedKeyUsages: ['serverAuth', 'clientAuth'],
  });
}

function bundle(isTainted: boolean): TrustBundle {
  const [old, next] = stolen.bundle(fresh).x509Authorities;
  if (old === undefined || next === undefined) throw new Error('two authorities were expected');
  return {
    ...stolen.bundle(),
    x509Authorities: [{ ...old, isTainted }, next],
    sequenceNumber: isTainted ? 2 : 1,
  };
}

let server: PacedServer;
let cache: SvidCache;
let renewal: SvidRenewal;
let stopping: AbortController;

beforeAll(async () => {
  stolen = await TestAuthority.create('example.org');
  fresh = await TestAuthority.create('example.org');
});
beforeEach(() => {
  server = new PacedServer(stolen);
  build([], []);
  void renewal.runSigning(stopping.signal);
});

/** @param stored what is held from the start, for the entries. */
function build(known: readonly RegistrationEntry[], stored: readonly StoredSvid[], isTainted = false): void {
  const clock = systemClock;
  const log = silentLogger;
  cache = new SvidCache({ trustDomain: TRUST_DOMAIN, clock, log, maximumSvids: 100_000 });
  renewal = new SvidRenewal({
    cache,
    signer: server,
    keeping: undefined,
    keyType: 'ec-p256',
    policy: { availabilityTargetSeconds: undefined, random: () => 0.5 },
    clock,
    log,
  });
  if (known.length > 0) tell(known, isTainted);
  renewal.restore(stored);
  cache.connect(renewal);
  stopping = new AbortController();
}
afterEach(() => {
  stopping.abort();
});

function tell(entries: readonly RegistrationEntry[], isTainted: boolean): void {
  cache.apply({ kind: 'snapshot', entries, bundles: [bundle(isTainted)] });
}

/** As the agent does when the server says that the first authority is tainted. */
function taint(entries: readonly RegistrationEntry[]): Promise<number> {
  tell(entries, true);
  server.authority = fresh;
  return renewal.replaceSignedBy(newlyTainted(bundle(false), bundle(true)));
}

function issuers(): ReadonlySet<string | undefined> {
  const issued = cache.entries().map(({ id }) => cache.svid(id)?.certificateChain[0]);
  return new Set(issued.map((der) => der && parseX509Certificate(der).authorityKeyId));
}

function keyIdOf(authority: TestAuthority): string | undefined {
  return parseX509Certificate(authority.certificate).subjectKeyId;
}

function entries(count: number, prefix = 'w'): readonly RegistrationEntry[] {
  return Array.from({ length: count }, (_, index) => sampleEntry(`${prefix}${index}`, [`unix:uid:${index}`]));
}

describe('an authority that is tainted', () => {
  it('has every SVID under it replaced, none of them missing for a moment', async () => {
    const all = entries(100);
    tell(all, false);
    await waitFor('the SVIDs', () => all.every(({ id }) => cache.svid(id) !== undefined));
    expect([...issuers()]).toEqual([keyIdOf(stolen)]);
    expect(await taint(all)).toBe(100);
    await waitFor('their successors', () => {
      expect(all.every(({ id }) => cache.svid(id) !== undefined)).toBe(true);
      return issuers().size === 1 && issuers().has(keyIdOf(fresh));
    });
    expect(server.batches.flat()).toHaveLength(200);
  });

  it('leaves what another authority signed alone', async () => {
    server.authority = fresh;
    tell(entries(3), false);
    await waitFor('the SVIDs', () => server.batches.flat().length === 3 && !issuers().has(undefined));
    expect(await taint(entries(3))).toBe(0);
    expect(server.batches.flat()).toHaveLength(3);
  });

  it('has replaced too what it signed while the word was on its way', async () => {
    server.latencyMs = 200;
    tell(entries(2), false);
    await waitFor('the request', () => server.batches.length === 1);
    expect(await taint(entries(2))).toBe(0);
    await waitFor('what the stolen one signed', () => issuers().has(keyIdOf(stolen)));
    await waitFor('their successors', () => issuers().size === 1 && issuers().has(keyIdOf(fresh)));
  });

  it('has replaced at the next start what the agent had no time left to replace', async () => {
    const all = entries(3);
    const template = certifiedOnce();
    stopping.abort();
    server.authority = fresh;
    build(
      all,
      all.map((entry) => ({ entryId: entry.id, contentKey: svidContentKey(entry), svid: template(entry) })),
      true,
    );
    expect([...issuers()]).toEqual([keyIdOf(stolen)]);
    void renewal.runSigning(stopping.signal);
    await waitFor('their successors', () => issuers().size === 1 && issuers().has(keyIdOf(fresh)));
  });

  it('does not make a storm of ten thousand: the server sets the pace, who has nothing comes first, nobody waits', async () => {
    const all = entries(10_000);
    const template = certifiedOnce();
    stopping.abort();
    build(
      all,
      all.map((entry) => ({ entryId: entry.id, contentKey: svidContentKey(entry), svid: template(entry) })),
    );
    server.latencyMs = 50;
    server.allowance = 1_000;
    const late = entries(100, 'late');
    const delay = monitorEventLoopDelay({ resolution: 1 });
    const count = await taint([...all, ...late]);
    expect(count).toBe(10_000);
    delay.enable();
    const startMs = performance.now();
    void renewal.runSigning(stopping.signal);
    await waitFor('the late ones', () => late.every(({ id }) => cache.svid(id) !== undefined), {
      limitMs: 150_000,
    });
    expect(server.batches.flat().length).toBeLessThan(1_500);
    await waitFor('a good part of them', () => server.batches.flat().length > 1_500, { limitMs: 150_000 });
    delay.disable();
    const seconds = (performance.now() - startMs) / 1000;
    const stalls = `p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms, most ${(delay.max / 1e6).toFixed(1)} ms`;
    process.stdout.write(
      `taint storm: ${server.batches.flat().length} in ${seconds.toFixed(1)} s; ${stalls}\n`,
    );
    expect(server.refusals).toBeGreaterThan(0);
    expect(Math.max(...server.batches.map(({ length }) => length))).toBeLessThanOrEqual(500);
    expect(delay.percentile(99) / 1e6).toBeLessThan(250);
  });
});

/** SVIDs that differ in nothing but their entry: real ones would take longer to make than to replace. */
function certifiedOnce() {
  const { privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
  const now = systemClock.now().getTime();
  const notBefore = new Date(now - 10_000);
  const notAfter = new Date(now + 3600_000);
  const leaf = createTestCertificate({
    publicKey: privateKey,
    subjectName: 'test workload',
    issuerName: 'authority',
    issuerPublicKey: stolen.privateKey,
    signingKey: stolen.privateKey,
    notBefore,
    notAfter,
    uriNames: ['spiffe://example.org/w'],
    dnsNames: [],
    keyUsages: ['digitalSignature'],
    isCa: false,
    pathLength: undefined,
    extendedKeyUsages: ['serverAuth', 'clientAuth'],
  });
  return ({ spiffeId }: RegistrationEntry) => ({
    spiffeId,
    certificateChain: [leaf],
    privateKey,
    notBefore,
    notAfter,
    hint: undefined,
  });
}
