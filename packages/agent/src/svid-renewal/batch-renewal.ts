/** Keeps an SVID for every entry that needs one, whatever its kind: obtains it in batches, renews it in time, takes it out when it expires. */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { SetBacks } from '@bonafide/shared/runtime/set-backs';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { announceBatch } from './announce-batch.js';
import { BatchPace } from './batch-pace.js';
import { RenewalBook, type RenewalProgress } from './renewal-book.js';
import { renewalTimeOfNew, renewalTimeOfStored, type RenewalPolicy } from './renewal-time.js';
import type { Obtained, SvidKind } from './svid-kind.js';

interface BatchRenewalOptions<Svid> {
  readonly kind: SvidKind<Svid>;
  /** Resolves when nothing more important is to be asked of the server. */
  readonly turn?: (() => Promise<void>) | undefined;
  /** A batch went well after one could not reach the server. */
  readonly onRecovered?: (() => void) | undefined;
  readonly policy: RenewalPolicy;
  readonly clock: Clock;
  readonly log: Logger;
}

const REFUSED_RETRY = { initialMs: 5_000, maximumMs: 300_000 };
const TAINTED_RETRY = { initialMs: 1_000, maximumMs: 60_000 };
/** What falls due within this time is renewed in the same batch. */
const GATHERING_MS = 250;

export class BatchRenewal<Svid extends { readonly spiffeId: SpiffeId }> {
  readonly #options: BatchRenewalOptions<Svid>;
  readonly #book: RenewalBook<Svid>;
  readonly #pace: BatchPace;
  readonly #setBacks: SetBacks;
  readonly #workAlarm: Alarm;
  /** Those that are with the server now. */
  #signing: ReadonlySet<string> = new Set();
  /** Why the last batch came to nothing. */
  #batchProblem: string | undefined;

  constructor(options: BatchRenewalOptions<Svid>) {
    this.#options = options;
    const { clock, kind, policy } = options;
    const { random } = policy;
    this.#book = new RenewalBook({ kind, clock, random });
    this.#pace = new BatchPace(random);
    this.#setBacks = new SetBacks(clock);
    this.#workAlarm = new Alarm(clock);
  }

  /** Takes up SVIDs of an earlier run, before anything is needed; those it had no time left to replace are replaced first. */
  restore(
    stored: Iterable<{ readonly entryId: string; readonly contentKey: string; readonly svid: Svid }>,
  ): void {
    const svids = new Map<string, Svid>();
    const { clock, kind, policy } = this.#options;
    for (const { entryId, contentKey, svid } of stored) {
      svids.set(entryId, svid);
      const now = clock.now();
      const renewAt = kind.isTainted(svid) ? now : renewalTimeOfStored(kind.validityOf(svid), now, policy);
      this.#book.restore(entryId, contentKey, svid, renewAt);
    }
    this.#workAlarm.ring();
    kind.holder.install(svids);
  }

  /** The entry is to have an SVID from now on, or what its SVID must say has changed. */
  need(entry: RegistrationEntry): void {
    if (this.#book.want(entry)) this.#workAlarm.ring();
  }

  release(entryId: string): void {
    this.#book.drop(entryId);
    this.#options.kind.keeping?.remove(entryId);
  }

  /** Replaces these SVIDs as soon as possible; they stay in use meanwhile. */
  renewNow(entryIds: Iterable<string>): void {
    for (const id of entryIds) this.#book.enqueue(id);
    this.#workAlarm.ring();
  }

  /** Takes these SVIDs out of use and obtains others. */
  replace(entryIds: readonly string[]): void {
    for (const id of entryIds) this.#book.takeOut(id);
    this.renewNow(entryIds);
    this.#options.kind.holder.withdraw(entryIds);
  }

  /** The server is heard again: what could not reach it is tried now. */
  retryNow(): void {
    if (this.#pace.hurry()) this.#workAlarm.ring();
  }

  /** Undefined: no SVID is wanted for the entry. */
  progress(entryId: string): RenewalProgress | undefined {
    const known = this.#book.progress(entryId);
    if (known === undefined) return undefined;
    const isQueued = known.isQueued || this.#signing.has(entryId);
    return { ...known, isQueued, problem: known.problem ?? (isQueued ? this.#batchProblem : undefined) };
  }

  /** Obtains and renews until the signal fires. */
  async runSigning(signal: AbortSignal): Promise<void> {
    const { clock, turn } = this.#options;
    while (!signal.aborted) {
      const now = clock.now();
      const setBackMs = this.#setBacks.take();
      if (setBackMs > 0) {
        this.#catchUp(setBackMs, now);
        this.#pace.waitNoLonger();
      }
      this.#book.enqueueDue(new Date(now.getTime() + GATHERING_MS));
      const waitsUntil = this.#pace.waitsUntil(now);
      if (this.#book.queued === 0) {
        await this.#workAlarm.wait(this.#book.nextDue(), signal);
      } else if (waitsUntil !== undefined) {
        await this.#workAlarm.wait(waitsUntil, signal);
      } else {
        await turn?.();
        if (!isAborted(signal)) await this.#signBatch(signal);
      }
    }
  }

  /** Takes out what has expired until the signal fires, whether or not there is a server to sign anew. */
  runExpiry(signal: AbortSignal): Promise<void> {
    return this.#book.watchExpiry((entryIds) => {
      this.#lapse(entryIds);
    }, signal);
  }

  #lapse(entryIds: readonly string[]): void {
    const { kind, log } = this.#options;
    const text = `the ${kind.name} of an entry has expired before it was renewed`;
    for (const id of entryIds) {
      log.error({ entryId: id, spiffeId: kind.holder.svid(id)?.spiffeId }, text);
      this.#book.lapse(id);
      kind.keeping?.remove(id);
    }
    kind.holder.withdraw(entryIds);
    this.#workAlarm.ring();
  }

  /** After the clock was set back: SVIDs may begin in the future, and what was refused because of the clock may now be had. */
  #catchUp(setBackMs: number, now: Date): void {
    const { kind, log } = this.#options;
    this.#book.bringForward(setBackMs);
    const early = kind.holder.entriesWithSvid((svid) => kind.validityOf(svid).notBefore > now);
    const missing = this.#book.missing();
    for (const id of [...early, ...missing]) this.#book.enqueue(id);
    log.warn(
      { setBackSeconds: Math.round(setBackMs / 1000), early: early.length, missing: missing.length },
      `the clock was set back: renewing the ${kind.name}s that are not valid yet, and the others as planned`,
    );
  }

  async #signBatch(signal: AbortSignal): Promise<void> {
    const { clock, kind, log, onRecovered } = this.#options;
    const { entryIds, secondsLeft } = this.#book.takeBatch(this.#pace.size, clock.now());
    // They may have been released while it was another's turn.
    if (entryIds.length === 0) return;
    const entries = entryIds.flatMap((id) => this.#book.wanted(id)?.entry ?? []);
    this.#signing = new Set(entryIds);
    announceBatch(kind, entries, log);
    try {
      this.#takeResults(entries, await kind.obtain(entries, secondsLeft, signal));
      this.#batchProblem = undefined;
      if (this.#pace.succeeded()) onRecovered?.();
    } catch (error) {
      if (signal.aborted) return;
      for (const id of entryIds) this.#book.enqueue(id);
      kind.holder.settle(entryIds);
      this.#batchProblem = errorMessage(error);
      const delayMs = this.#pace.failed(error, clock.now());
      log.warn(
        { count: entryIds.length, retryInMs: Math.round(delayMs) },
        `cannot obtain ${kind.name}s, the present ones stay in use: ${errorMessage(error)}`,
      );
    } finally {
      this.#signing = new Set();
    }
  }

  #takeResults(entries: readonly RegistrationEntry[], results: readonly Obtained<Svid>[]): void {
    const { clock, kind, log } = this.#options;
    const now = clock.now();
    const svids = new Map<string, Svid>();
    const failed: string[] = [];
    for (const [index, entry] of entries.entries()) {
      const result = results[index];
      const contentKey = kind.contentKey(entry);
      if (result?.kind !== 'svid') {
        const why = result === undefined ? 'the server sent no result for it' : errorMessage(result.error);
        failed.push(entry.id);
        this.#book.remember(entry.id, why);
        const fields = { entryId: entry.id, spiffeId: entry.spiffeId };
        log.warn(fields, `no ${kind.name} for an entry: ${why}`);
        // An entry may have changed or gone while the server was signing; what is out of date is asked for again already.
      } else if (this.#book.wanted(entry.id)?.contentKey === contentKey) {
        svids.set(entry.id, result.svid);
        this.#keep(entry.id, contentKey, result.svid, now);
      }
    }
    this.#workAlarm.ring();
    kind.holder.install(svids);
    this.#postpone(failed, now);
    if (svids.size > 0) log.info({ count: svids.size }, `obtained ${kind.name}s`);
  }

  #keep(entryId: string, contentKey: string, svid: Svid, now: Date): void {
    const { kind, policy } = this.#options;
    const isTainted = kind.isTainted(svid);
    if (!isTainted) this.#book.forgive(entryId);
    const renewAt = isTainted
      ? this.#book.retryAt(entryId, TAINTED_RETRY, now)
      : renewalTimeOfNew(kind.validityOf(svid), now, policy);
    this.#book.keep(entryId, contentKey, svid, renewAt);
    kind.keeping?.save(entryId, contentKey, svid);
  }

  /** The server answered, but not with a usable SVID. */
  #postpone(entryIds: readonly string[], now: Date): void {
    const { kind } = this.#options;
    const outdated: string[] = [];
    for (const id of entryIds) {
      const wanted = this.#book.wanted(id);
      if (wanted === undefined) continue;
      // What is held names an identity that the entry no longer grants, and no other is coming.
      if (kind.holder.svid(id)?.spiffeId !== wanted.entry.spiffeId) outdated.push(id);
      this.#book.postpone(id, this.#book.retryAt(id, REFUSED_RETRY, now));
    }
    for (const id of outdated) this.#book.withdraw(id);
    kind.holder.withdraw(outdated);
    kind.holder.settle(entryIds);
  }
}
