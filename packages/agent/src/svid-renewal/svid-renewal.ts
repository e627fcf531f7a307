/** Keeps an X.509-SVID in the cache for every entry that needs one. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { svidContentKey } from '../svid-cache/cached-entry.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { SvidDemand } from '../svid-cache/svid-requests.js';
import { BatchRenewal } from './batch-renewal.js';
import type { RenewalProgress } from './renewal-book.js';
import { createX509Svid } from './create-x509-svid.js';
import type { RenewalPolicy } from './renewal-time.js';
import { prepareRequests, type PreparedRequest } from './signing-batch.js';
import type { Obtained } from './svid-kind.js';
import type { StoredSvid } from './svid-files.js';
import { isSignedBy, replaceSignedBy, taintedKeyIds } from './tainted-svids.js';
import { TargetWarnings } from './target-warnings.js';
import { WaitingCalls } from './waiting-calls.js';
import type { SigningResult, X509SvidSigner } from './x509-svid-signer.js';

/** Where SVIDs outlive the process. */
interface SvidKeeping {
  save(stored: StoredSvid): void;
  remove(entryId: string): void;
}

interface SvidRenewalOptions {
  readonly cache: SvidCache;
  readonly signer: X509SvidSigner;
  /** Undefined: SVIDs live in memory only. */
  readonly keeping: SvidKeeping | undefined;
  readonly keyType: KeyType;
  /** Resolves when nothing more important is to be asked of the server. */
  readonly turn?: () => Promise<void>;
  /** The server is reached again after it was not. */
  readonly onRecovered?: () => void;
  readonly policy: RenewalPolicy;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Certificates that are read in one turn of the event loop. */
const SLICE = 16;

export class SvidRenewal implements SvidDemand {
  readonly #options: SvidRenewalOptions;
  readonly #batches: BatchRenewal<X509Svid>;
  readonly #targetWarnings: TargetWarnings;
  readonly #callers = new WaitingCalls();
  /** Of bundles that were asked about. */
  readonly #tainted = new WeakMap<TrustBundle, ReadonlySet<string>>();

  constructor(options: SvidRenewalOptions) {
    this.#options = options;
    const { cache, clock, keeping, log, onRecovered, policy, turn } = options;
    this.#targetWarnings = new TargetWarnings({ targetSeconds: policy.availabilityTargetSeconds, log });
    this.#batches = new BatchRenewal<X509Svid>({
      kind: {
        name: 'X509-SVID',
        holder: cache,
        contentKey: svidContentKey,
        validityOf: (svid) => svid,
        isTainted: (svid) => isSignedBy(svid, this.#taintedKeyIds(svid)),
        obtain: (entries, secondsLeft, signal) => this.#obtain(entries, secondsLeft, signal),
        keeping: keeping && {
          save: (entryId, contentKey, svid) => {
            keeping.save({ entryId, contentKey, svid });
          },
          remove: (entryId) => {
            keeping.remove(entryId);
          },
        },
      },
      turn,
      onRecovered,
      policy,
      clock,
      log,
    });
  }

  /** The server is heard again: what could not reach it is tried now. */
  retryNow(): void {
    this.#batches.retryNow();
  }

  /** Puts SVIDs of an earlier run into the cache. To be called before the cache is connected. */
  restore(stored: readonly StoredSvid[]): void {
    this.#batches.restore(stored);
  }

  need(entry: RegistrationEntry): void {
    this.#callers.note(entry.id);
    this.#batches.need(entry);
  }

  release(entryId: string): void {
    this.#batches.release(entryId);
    this.#targetWarnings.forget(entryId);
    this.#callers.forget(entryId);
  }

  /** Undefined: no SVID is wanted for the entry. */
  progress(entryId: string): RenewalProgress | undefined {
    return this.#batches.progress(entryId);
  }

  /**
   * Replaces the SVIDs under these authorities as soon as possible, as many at once as the server signs, after entries that have none.
   * @param subjectKeyIds in hex. @returns how many there are.
   */
  replaceSignedBy(subjectKeyIds: ReadonlySet<string>): Promise<number> {
    return replaceSignedBy(subjectKeyIds, this.#options.cache, (entryIds) => {
      this.#batches.renewNow(entryIds);
    });
  }

  /** Obtains and renews until the signal fires. */
  runSigning(signal: AbortSignal): Promise<void> {
    return this.#batches.runSigning(signal);
  }

  /** Takes out what has expired until the signal fires, whether or not there is a server to sign anew. */
  runExpiry(signal: AbortSignal): Promise<void> {
    return this.#batches.runExpiry(signal);
  }

  #taintedKeyIds({ spiffeId }: X509Svid): ReadonlySet<string> {
    const bundle = this.#options.cache.bundle(trustDomainOf(spiffeId));
    if (bundle === undefined) return new Set();
    let keyIds = this.#tainted.get(bundle);
    if (keyIds === undefined) {
      keyIds = taintedKeyIds(bundle);
      this.#tainted.set(bundle, keyIds);
    }
    return keyIds;
  }

  async #obtain(
    entries: readonly RegistrationEntry[],
    secondsLeft: number | undefined,
    signal: AbortSignal,
  ): Promise<readonly Obtained<X509Svid>[]> {
    const { clock, keyType, signer } = this.#options;
    const prepared = await prepareRequests(entries, keyType);
    const results = await this.#callers.onBehalf(prepared, () =>
      signer.sign(
        prepared.map(({ entry, csr }) => ({ entryId: entry.id, csr })),
        secondsLeft,
        signal,
      ),
    );
    const now = clock.now();
    const obtained: Obtained<X509Svid>[] = [];
    const issued: { entry: RegistrationEntry; svid: X509Svid }[] = [];
    for (const [index, request] of prepared.entries()) {
      if (index % SLICE === SLICE - 1) await nextTurn();
      try {
        const svid = readResult(request, results[index], now);
        obtained.push({ kind: 'svid', svid });
        issued.push({ entry: request.entry, svid });
      } catch (error) {
        obtained.push({ kind: 'failed', error });
      }
    }
    this.#targetWarnings.review(issued, now);
    return obtained;
  }
}

/** @throws BonafideError when the answer is a refusal, or not what was asked for. */
function readResult(request: PreparedRequest, result: SigningResult | undefined, now: Date): X509Svid {
  if (result === undefined) throw new BonafideError('internal', 'the server sent no result for it');
  if (result.kind === 'refused') throw result.error;
  const svid = createX509Svid(
    result.certificateChain,
    request.privateKey,
    request.csr,
    request.entry.dnsNames,
  );
  if (svid.spiffeId !== request.entry.spiffeId) {
    throw new BonafideError(
      'internal',
      `the server issued ${svid.spiffeId} for an entry of ${request.entry.spiffeId}`,
    );
  }
  if (svid.notAfter <= now) {
    throw new BonafideError(
      'internal',
      `the certificate has expired already, at ${svid.notAfter.toISOString()}; compare the clocks of this node and the server`,
    );
  }
  return svid;
}
