/** Keeps an SVID for every entry that needs one, whatever its kind: obtains it in batches, renews it in time, takes it out when it expires. */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { SetBacks } from '@bonafide/shared/runtime/set-backs';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { BatchPace } from './batch-pace.js';
import { DueQueue } from './due-queue.js';
import { ExpiryWatch } from './expiry-watch.js';
import { renewalTimeOfNew, renewalTimeOfStored, type RenewalPolicy } from './renewal-time.js';
import { Setbacks } from './setbacks.js';
import { SigningQueue } from './signing-queue.js';
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

interface Wanted {
  readonly entry: RegistrationEntry;
  readonly contentKey: string;
}

const REFUSED_RETRY = { initialMs: 5_000, maximumMs: 300_000 };
const TAINTED_RETRY = { initialMs: 1_000, maximumMs: 60_000 };
/** What falls due within this time is renewed in the same batch. */
const GATHERING_MS = 250;
const ENDED = { notBefore: new Date(0), notAfter: new Date(0) };

export class BatchRenewal<Svid extends { readonly spiffeId: SpiffeId }> {
  readonly #options: BatchRenewalOptions<Svid>;
  readonly #wanted = new Map<string, Wanted>();
  /** Issued content of each SVID that is held. */
  readonly #held = new Map<string, string>();
  /** Entries whose SVID ended before it was replaced. */
  readonly #lapsed = new Set<string>();
  readonly #queue = new SigningQueue();
  readonly #due = new DueQueue();
  readonly #expiring: ExpiryWatch;
  readonly #setbacks: Setbacks;
  readonly #pace: BatchPace;
  readonly #setBacks: SetBacks;
  readonly #workAlarm: Alarm;

  constructor(options: BatchRenewalOptions<Svid>) {
    this.#options = options;
    const { random } = options.policy;
    this.#setbacks = new Setbacks(random);
    this.#pace = new BatchPace(random);
    this.#setBacks = new SetBacks(options.clock);
    this.#workAlarm = new Alarm(options.clock);
    this.#expiring = new ExpiryWatch(options.clock);
  }

  /** Takes up SVIDs of an earlier run, before anything is needed; those it had no time left to replace are replaced first. */
  restore(
    stored: Iterable<{ readonly entryId: string; readonly contentKey: string; readonly svid: Svid }>,
  ): void {
    const svids = new Map<string, Svid>();
    const { clock, kind, policy } = this.#options;
    for (const { entryId, contentKey, svid } of stored) {
      svids.set(entryId, svid);
      this.#held.set(entryId, contentKey);
      const now = clock.now();
      const renewAt = kind.isTainted(svid) ? now : renewalTimeOfStored(kind.validityOf(svid), now, policy);
      this.#schedule(entryId, svid, renewAt);
    }
    kind.holder.install(svids);
  }

  /** The entry is to have an SVID from now on, or what its SVID must say has changed. */
  need(entry: RegistrationEntry): void {
    const contentKey = this.#options.kind.contentKey(entry);
    this.#wanted.set(entry.id, { entry, contentKey });
    if (this.#held.get(entry.id) === contentKey) return;
    this.#enqueue(entry.id);
    this.#workAlarm.ring();
  }

  release(entryId: string): void {
    this.#wanted.delete(entryId);
    this.#forget(entryId);
    this.#queue.delete(entryId);
    this.#lapsed.delete(entryId);
    this.#setbacks.delete(entryId);
    this.#options.kind.keeping?.remove(entryId);
  }

  /** Replaces these SVIDs as soon as possible; they stay in use meanwhile. */
  renewNow(entryIds: Iterable<string>): void {
    for (const id of entryIds) this.#enqueue(id);
    this.#workAlarm.ring();
  }

  /** Takes these SVIDs out of use and obtains others. */
  replace(entryIds: readonly string[]): void {
    for (const id of entryIds) this.#forget(id);
    this.renewNow(entryIds);
    this.#options.kind.holder.withdraw(entryIds);
  }

  /** The server is heard again: what could not reach it is tried now. */
  retryNow(): void {
    if (this.#pace.hurry()) this.#workAlarm.ring();
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
      for (const id of this.#due.take(new Date(now.getTime() + GATHERING_MS))) this.#enqueue(id);
      const waitsUntil = this.#pace.waitsUntil(now);
      if (this.#queue.size === 0) {
        await this.#workAlarm.wait(this.#due.next(), signal);
      } else if (waitsUntil !== undefined) {
        await this.#workAlarm.wait(waitsUntil, signal);
      } else {
        await turn?.();
        if (!isOver(signal)) await this.#signBatch(signal);
      }
    }
  }

  /** Takes out what has expired until the signal fires, whether or not there is a server to sign anew. */
  runExpiry(signal: AbortSignal): Promise<void> {
    return this.#expiring.run((entryIds) => {
      this.#lapse(entryIds);
    }, signal);
  }

  #lapse(entryIds: readonly string[]): void {
    const { kind, log } = this.#options;
    const text = `the ${kind.name} of an entry has expired before it was renewed`;
    for (const id of entryIds) {
      log.error({ entryId: id, spiffeId: kind.holder.svid(id)?.spiffeId }, text);
      this.#forget(id);
      this.#lapsed.add(id);
      kind.keeping?.remove(id);
      this.#enqueue(id);
    }
    kind.holder.withdraw(entryIds);
    this.#workAlarm.ring();
  }

  /** After the clock was set back: SVIDs may begin in the future, and what was refused because of the clock may now be had. */
  #catchUp(setBackMs: number, now: Date): void {
    const { kind, log } = this.#options;
    this.#due.bringForward(setBackMs);
    const early = kind.holder.entriesWithSvid((svid) => kind.validityOf(svid).notBefore > now);
    const missing = [...this.#wanted.keys()].filter((id) => !this.#held.has(id));
    for (const id of [...early, ...missing]) this.#enqueue(id);
    log.warn(
      { setBackSeconds: Math.round(setBackMs / 1000), early: early.length, missing: missing.length },
      `the clock was set back: renewing the ${kind.name}s that are not valid yet, and the others as planned`,
    );
  }

  async #signBatch(signal: AbortSignal): Promise<void> {
    const { clock, kind, log, onRecovered } = this.#options;
    const { entryIds, secondsLeft } = this.#queue.take(this.#pace.size, clock.now());
    // They may have been released while it was another's turn.
    if (entryIds.length === 0) return;
    const entries = entryIds.flatMap((id) => this.#wanted.get(id)?.entry ?? []);
    try {
      this.#takeResults(entries, await kind.obtain(entries, secondsLeft, signal));
      if (this.#pace.succeeded()) onRecovered?.();
    } catch (error) {
      if (signal.aborted) return;
      for (const id of entryIds) this.#enqueue(id);
      kind.holder.settle(entryIds);
      const delayMs = this.#pace.failed(error, clock.now());
      log.warn(
        { count: entryIds.length, retryInMs: Math.round(delayMs) },
        `cannot obtain ${kind.name}s, the present ones stay in use: ${errorMessage(error)}`,
      );
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
        const fields = { entryId: entry.id, spiffeId: entry.spiffeId };
        log.warn(fields, `no ${kind.name} for an entry: ${why}`);
        // An entry may have changed or gone while the server was signing; what is out of date is asked for again already.
      } else if (this.#wanted.get(entry.id)?.contentKey === contentKey) {
        svids.set(entry.id, result.svid);
        this.#keep(entry.id, contentKey, result.svid, now);
      }
    }
    kind.holder.install(svids);
    this.#postpone(failed, now);
    if (svids.size > 0) log.info({ count: svids.size }, `obtained ${kind.name}s`);
  }

  #keep(entryId: string, contentKey: string, svid: Svid, now: Date): void {
    const { kind, policy } = this.#options;
    this.#held.set(entryId, contentKey);
    this.#queue.delete(entryId);
    this.#lapsed.delete(entryId);
    if (kind.isTainted(svid)) {
      this.#schedule(entryId, svid, this.#setbacks.nextAttempt(entryId, TAINTED_RETRY, now));
    } else {
      this.#setbacks.delete(entryId);
      this.#schedule(entryId, svid, renewalTimeOfNew(kind.validityOf(svid), now, policy));
    }
    kind.keeping?.save(entryId, contentKey, svid);
  }

  /** The server answered, but not with a usable SVID. */
  #postpone(entryIds: readonly string[], now: Date): void {
    const { kind } = this.#options;
    const outdated: string[] = [];
    for (const id of entryIds) {
      const wanted = this.#wanted.get(id);
      if (wanted === undefined) continue;
      // What is held names an identity that the entry no longer grants, and no other is coming.
      if (kind.holder.svid(id)?.spiffeId !== wanted.entry.spiffeId) outdated.push(id);
      this.#due.set(id, this.#setbacks.nextAttempt(id, REFUSED_RETRY, now));
    }
    for (const id of outdated) {
      this.#held.delete(id);
      this.#expiring.delete(id);
    }
    kind.holder.withdraw(outdated);
    kind.holder.settle(entryIds);
  }

  #schedule(entryId: string, svid: Svid, renewAt: Date): void {
    this.#due.set(entryId, renewAt);
    this.#expiring.set(entryId, this.#options.kind.validityOf(svid).notAfter);
    this.#workAlarm.ring();
  }

  #enqueue(entryId: string): void {
    if (!this.#wanted.has(entryId)) return;
    const { kind } = this.#options;
    const svid = this.#held.has(entryId) ? kind.holder.svid(entryId) : undefined;
    if (svid !== undefined) this.#queue.addRenewal(entryId, kind.validityOf(svid));
    else if (this.#lapsed.has(entryId)) this.#queue.addRenewal(entryId, ENDED);
    else this.#queue.addFresh(entryId);
  }

  #forget(entryId: string): void {
    this.#held.delete(entryId);
    this.#due.delete(entryId);
    this.#expiring.delete(entryId);
  }
}

/** A function, because the answer changes while something is awaited. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}
