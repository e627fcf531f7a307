import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { importSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { createTestCertificate, type TestCertificateOptions } from '@bonafide/testing/test-certificate';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { sampleBundle, sampleEntry, TRUST_DOMAIN } from '../svid-cache/cache-samples.js';
import { SvidCache } from '../svid-cache/svid-cache.js';
import type { StoredSvid } from './svid-files.js';
import { SvidRenewal } from './svid-renewal.js';
import type { SigningRequest, SigningResult, X509SvidSigner } from './x509-svid-signer.js';

const HOUR_MS = 3600_000;

/** A signing server: real certificates for real CSRs, refusals and failures on demand, and a record of every batch. */
class RecordingSigner implements X509SvidSigner {
  /** The entry ids of each batch. */
  readonly batches: string[][] = [];
  readonly secondsLeft: (number | undefined)[] = [];
  lifetimeMs = 3600_000;
  /** Every batch fails, as one that reaches no server. */
  isAway = false;
  /** Throws to fail the whole batch. */
  beforeBatch: (batch: readonly SigningRequest[]) => void | Promise<void> = () => undefined;
  /** In place of a certificate. */
  answer: (request: SigningRequest) => SigningResult | undefined = () => undefined;
  /** Fields of every certificate set to something else. */
  certificate: Partial<TestCertificateOptions> = {};
  readonly #clock: Clock;
  readonly #key = makeKeyPair('ec', { namedCurve: 'P-256' }).privateKey;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get signedIds(): readonly string[] {
    return this.batches.flat();
  }

  async sign(
    requests: readonly SigningRequest[],
    secondsLeft: number | undefined,
  ): Promise<readonly SigningResult[]> {
    this.batches.push(requests.map(({ entryId }) => entryId));
    this.secondsLeft.push(secondsLeft);
    if (this.isAway) throw new BonafideError('unavailable', 'nobody there');
    await this.beforeBatch(requests);
    return requests.map((request) => this.answer(request) ?? this.#certify(request));
  }

  #certify({ csr }: SigningRequest): SigningResult {
    const now = this.#clock.now();
    const { uriNames, spki } = parseCertificateSigningRequest(csr);
    const leaf = createTestCertificate({
      publicKey: importSpki(spki),
      subjectName: 'test workload',
      issuerName: 'test authority',
      issuerPublicKey: this.#key,
      signingKey: this.#key,
      notBefore: new Date(now.getTime() - 10_000),
      notAfter: new Date(now.getTime() + this.lifetimeMs),
      uriNames,
      dnsNames: [],
      keyUsages: ['digitalSignature'],
      isCa: false,
      pathLength: undefined,
      extendedKeyUsages: ['serverAuth', 'clientAuth'],
      ...this.certificate,
    });
    return { kind: 'signed', certificateChain: [leaf] };
  }
}

class Fixture implements Disposable {
  readonly clock = new FakeClock();
  readonly signer = new RecordingSigner(this.clock);
  readonly saved = new Map<string, StoredSvid>();
  readonly cache = new SvidCache({
    trustDomain: TRUST_DOMAIN,
    clock: this.clock,
    log: silentLogger,
    maximumSvids: 10_000,
  });
  readonly renewal: SvidRenewal;
  readonly #stopping = new AbortController();

  constructor(
    options: {
      random?: () => number;
      stored?: readonly StoredSvid[];
      entries?: readonly RegistrationEntry[];
    } = {},
  ) {
    const { random = () => 0.5, stored = [], entries = [] } = options;
    this.renewal = new SvidRenewal({
      cache: this.cache,
      signer: this.signer,
      keeping: { save: (svid) => this.saved.set(svid.entryId, svid), remove: (id) => this.saved.delete(id) },
      keyType: 'ec-p256',
      policy: { availabilityTargetSeconds: undefined, random },
      clock: this.clock,
      log: silentLogger,
    });
    this.tell(...entries);
    this.renewal.restore(stored);
    this.cache.connect(this.renewal);
    void this.renewal.runSigning(this.#stopping.signal);
    void this.renewal.runExpiry(this.#stopping.signal);
  }

  /** The server's word on all entries. */
  tell(...entries: readonly RegistrationEntry[]): void {
    this.cache.apply({ kind: 'snapshot', entries, bundles: [sampleBundle('example.org')] });
  }

  /** Lets time pass, and the work that falls due on the way come to its end. */
  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms);
  }

  async issued(...entries: readonly RegistrationEntry[]): Promise<void> {
    await waitFor('the SVIDs', () => entries.every(({ id }) => this.cache.svid(id) !== undefined));
  }

  async batches(count: number): Promise<void> {
    await waitFor(`batch ${count}`, () => this.signer.batches.length >= count);
  }

  [Symbol.dispose](): void {
    this.#stopping.abort();
  }
}

const A = sampleEntry('a', ['unix:uid:1']);
const B = sampleEntry('b', ['unix:uid:1']);

function entries(count: number): readonly RegistrationEntry[] {
  return Array.from({ length: count }, (_, index) => sampleEntry(`e${index}`, ['unix:uid:1']));
}

describe('SvidRenewal', () => {
  it('obtains an SVID with a key of its own for every entry, in one batch', async () => {
    using fixture = new Fixture();
    fixture.tell(A, B);
    await fixture.issued(A, B);
    expect(fixture.signer.batches).toEqual([['a', 'b']]);
    const [a, b] = [fixture.cache.svid('a'), fixture.cache.svid('b')];
    expect(a?.spiffeId).toBe('spiffe://example.org/a');
    expect(a?.privateKey.equals(b?.privateKey ?? a.privateKey)).toBe(false);
    expect([...fixture.saved.keys()]).toEqual(['a', 'b']);
  });

  it('renews at half life under a new key, again and again', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    for (let round = 2; round <= 4; round += 1) {
      const before = fixture.cache.svid('a');
      await fixture.advance(HOUR_MS / 2 - 1000);
      expect(fixture.signer.batches).toHaveLength(round - 1);
      await fixture.advance(1000);
      await fixture.batches(round);
      await waitFor('the new SVID', () => fixture.cache.svid('a') !== before);
      expect(fixture.cache.svid('a')?.privateKey.equals(before?.privateKey ?? (A as never))).toBe(false);
    }
  });

  it('spreads renewals of SVIDs that were obtained together', async () => {
    let seed = 0;
    using fixture = new Fixture({ random: () => (seed = (seed + 0.618_034) % 1) });
    const all = entries(50);
    fixture.tell(...all);
    await fixture.issued(...all);
    await fixture.advance(HOUR_MS * 0.45 - 1000);
    expect(fixture.signer.batches).toHaveLength(1);
    // A sixth of them falls due in each minute, give or take a few.
    for (let minute = 1; minute <= 7; minute += 1) {
      await fixture.advance(60_000);
      const least = 50 + (minute < 7 ? (50 * minute) / 6 - 4 : 50);
      await waitFor(`renewals of minute ${minute}`, () => fixture.signer.signedIds.length >= least);
    }
    expect(fixture.signer.batches.length).toBeGreaterThan(5);
  });

  it('does not spin on SVIDs that live for seconds although their notBefore is backdated', async () => {
    using fixture = new Fixture();
    fixture.signer.lifetimeMs = 4_000;
    fixture.tell(A);
    await fixture.issued(A);
    await fixture.advance(1_500);
    expect(fixture.signer.batches).toHaveLength(1);
    await fixture.advance(500);
    await fixture.batches(2);
  });

  it('sends no more than 500 at once, half as many after each failure, and more again with success', async () => {
    using fixture = new Fixture();
    let failures = 2;
    fixture.signer.beforeBatch = () => {
      failures -= 1;
      if (failures >= 0) throw new BonafideError('resource_exhausted', 'too many');
    };
    fixture.tell(...entries(700));
    await fixture.batches(1);
    await waitFor('the retry', async () => {
      await fixture.advance(1_000);
      return fixture.signer.batches.length >= 5;
    });
    expect(fixture.signer.batches.slice(0, 5).map(({ length }) => length)).toEqual([500, 250, 125, 250, 325]);
    await waitFor('all of them', () => fixture.saved.size === 700);
  });

  it('does not send smaller batches because the server was away', async () => {
    using fixture = new Fixture();
    let failures = 3;
    fixture.signer.beforeBatch = () => {
      failures -= 1;
      if (failures >= 0) throw new BonafideError('unavailable', 'nobody there');
    };
    fixture.tell(...entries(300));
    await waitFor('success', async () => {
      await fixture.advance(1_000);
      return fixture.saved.size === 300;
    });
    expect(fixture.signer.batches.map(({ length }) => length)).toEqual([300, 300, 300, 300]);
  });

  it('leaves the server alone for as long as it asks', async () => {
    using fixture = new Fixture();
    let isOverloaded = true;
    fixture.signer.beforeBatch = () => {
      if (isOverloaded) throw new BonafideError('resource_exhausted', 'busy', { retryAfterMs: 90_000 });
    };
    fixture.tell(A);
    await fixture.batches(1);
    isOverloaded = false;
    await fixture.advance(89_000);
    expect(fixture.signer.batches).toHaveLength(1);
    await fixture.advance(90_000 / 4);
    await fixture.issued(A);
  });

  it('serves entries without an SVID before it renews others', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    fixture.signer.isAway = true;
    await fixture.advance(HOUR_MS / 2);
    await fixture.batches(2);
    fixture.tell(A, B);
    fixture.signer.isAway = false;
    await fixture.advance(60_000);
    await fixture.issued(A, B);
    await waitFor('both', () => fixture.saved.size === 2 && fixture.signer.batches.at(-1)?.[0] === 'a');
    expect(fixture.signer.batches.slice(-2)).toEqual([['b'], ['a']]);
    expect(fixture.signer.secondsLeft.slice(-2)).toEqual([undefined, expect.closeTo(1800 - 60, -2)]);
  });

  it('renews what is about to end before entries that have none, those that end first before others', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    fixture.signer.isAway = true;
    await fixture.advance(0.75 * HOUR_MS);
    await waitFor('an attempt late in its life', async () => {
      await fixture.advance(30_000);
      return (fixture.signer.secondsLeft.at(-1) ?? HOUR_MS) < 720;
    });
    fixture.tell(A, B);
    fixture.signer.isAway = false;
    const before = fixture.signer.batches.length;
    fixture.renewal.retryNow();
    await waitFor('both', async () => {
      await fixture.advance(1_000);
      return fixture.cache.svid('b') !== undefined;
    });
    expect(fixture.signer.batches.slice(before)).toEqual([['a'], ['b']]);
    const [left, none] = fixture.signer.secondsLeft.slice(before);
    expect(left).toBeLessThan(720);
    expect(none).toBeUndefined();
  });

  it('keeps an SVID in use until it expires when the server stays away, and not longer', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    fixture.signer.isAway = true;
    await fixture.advance(HOUR_MS - 1000);
    expect(fixture.cache.svid('a')).toBeDefined();
    await fixture.advance(1000);
    await waitFor('it to be taken out', () => fixture.cache.svid('a') === undefined);
    expect(fixture.saved.size).toBe(0);
    fixture.signer.isAway = false;
    await fixture.advance(60_000);
    await fixture.issued(A);
  });

  it('notices within half a minute that the clock was set beyond the end of an SVID', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    fixture.signer.isAway = true;
    fixture.clock.jumpWallClock(2 * HOUR_MS);
    await fixture.advance(30_000);
    await waitFor('it to be taken out', () => fixture.cache.svid('a') === undefined);
  });

  it('goes on with the others when the server refuses one, and tries that one again later', async () => {
    using fixture = new Fixture();
    let isRefused = true;
    fixture.signer.answer = ({ entryId }) =>
      entryId === 'a' && isRefused
        ? { kind: 'refused', error: new BonafideError('not_found', 'entry not found') }
        : undefined;
    fixture.tell(A, B);
    await fixture.issued(B);
    expect(fixture.signer.batches).toHaveLength(1);
    await fixture.advance(2_000);
    expect(fixture.signer.batches).toHaveLength(1);
    isRefused = false;
    await fixture.advance(5_000);
    await fixture.issued(A);
  });

  it.each([
    ['of another identity', { uriNames: ['spiffe://example.org/other'] }],
    ['without an identity', { uriNames: [] }],
    ['that has expired', { notAfter: new Date('2029-12-31T00:00:00Z') }],
  ])('does not take a certificate %s', async (_name, certificate) => {
    using fixture = new Fixture();
    fixture.signer.certificate = certificate;
    fixture.tell(A);
    await fixture.batches(1);
    await fixture.advance(1_000);
    expect(fixture.cache.svid('a')).toBeUndefined();
    fixture.signer.certificate = {};
    await fixture.advance(10_000);
    await fixture.issued(A);
  });

  it('does not take a certificate for another key than its own', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    const other = fixture.cache.svid('a');
    fixture.signer.answer = () => ({ kind: 'signed', certificateChain: other?.certificateChain ?? [] });
    fixture.tell(A, { ...B, spiffeId: A.spiffeId });
    await fixture.batches(2);
    await fixture.advance(1_000);
    expect(fixture.cache.svid('b')).toBeUndefined();
  });

  it('throws away what was signed for an entry that changed meanwhile', async () => {
    using fixture = new Fixture();
    const changed = { ...A, revisionNumber: 1, spiffeId: parseSpiffeId('spiffe://example.org/changed') };
    fixture.signer.beforeBatch = () => {
      if (fixture.signer.batches.length === 1) fixture.tell(changed);
    };
    fixture.tell(A);
    await fixture.issued(A);
    expect(fixture.signer.batches).toHaveLength(2);
    expect(fixture.cache.svid('a')?.spiffeId).toBe('spiffe://example.org/changed');
  });

  it('withdraws what names an identity that the entry no longer grants, once no other is coming', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    fixture.signer.answer = () => ({ kind: 'refused', error: new BonafideError('internal', 'no') });
    fixture.tell({ ...A, revisionNumber: 1, spiffeId: parseSpiffeId('spiffe://example.org/changed') });
    await waitFor('it to be taken out', () => fixture.cache.svid('a') === undefined);
  });

  it('forgets an entry that has gone, on disk too', async () => {
    using fixture = new Fixture();
    fixture.tell(A);
    await fixture.issued(A);
    fixture.tell();
    expect(fixture.saved.size).toBe(0);
    await fixture.advance(HOUR_MS);
    expect(fixture.signer.batches).toHaveLength(1);
  });

  it('holds no SVID that a server behind the others signed for an older state of the entry, and asks again', async () => {
    using fixture = new Fixture();
    fixture.tell({ ...A, dnsNames: ['a.example.org'] }); // of which the signer knows nothing
    await fixture.batches(1);
    await fixture.advance(10_000);
    await fixture.batches(2);
    expect(fixture.cache.svid('a')).toBeUndefined();
    expect(fixture.saved.size).toBe(0);
  });

  it('takes up SVIDs of an earlier run without asking for them again, and renews them in their time', async () => {
    const stored: StoredSvid[] = [];
    {
      using earlier = new Fixture();
      earlier.tell(A, B);
      await earlier.issued(A, B);
      stored.push(...earlier.saved.values());
    }
    const changed = { ...B, revisionNumber: 1, x509SvidTtlSeconds: 1234 };
    using fixture = new Fixture({ stored, entries: [A, changed] });
    expect(fixture.cache.svid('a')).toEqual(stored[0]?.svid);
    await fixture.batches(1);
    expect(fixture.signer.batches).toEqual([['b']]);
    await waitFor('the changed one', () => fixture.saved.has('b'));
    await fixture.advance(HOUR_MS / 2);
    await fixture.batches(2);
  });
});
