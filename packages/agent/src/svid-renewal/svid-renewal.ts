/** Keeps an SVID in the cache for every entry that needs one: obtains it, renews it around half life, takes it out when it expires. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { SetBacks } from '@bonafide/shared/runtime/set-backs';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { BatchLimit } from './batch-limit.js';
import { svidContentKey } from '../svid-cache/cached-entry.js';
import { createX509Svid } from './create-x509-svid.js';
import { DueQueue } from './due-queue.js';
import { renewalTimeOfNew, renewalTimeOfStored, type RenewalPolicy } from './renewal-time.js';
import { prepareRequests, type PreparedRequest } from './signing-batch.js';
import type { SvidCache, SvidDemand } from '../svid-cache/svid-cache.js';
import type { StoredSvid } from './svid-files.js';
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
  readonly policy: RenewalPolicy;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Wanted {
  readonly entry: RegistrationEntry;
  readonly contentKey: string;
}

const RETRY = { initialMs: 500, maximumMs: 30_000 };
const REFUSED_RETRY = { initialMs: 5_000, maximumMs: 300_000 };
/** What falls due within this time is renewed in the same batch. */
const GATHERING_MS = 250;
/** Certificates that are read in one turn of the event loop. */
const SLICE = 16;

export class SvidRenewal implements SvidDemand {
  readonly #options: SvidRenewalOptions;
  readonly #wanted = new Map<string, Wanted>();
  /** Issued content of each SVID that is in the cache. */
  readonly #held = new Map<string, string>();
  /** Entries without an SVID come before those whose SVID is to be replaced. */
  readonly #missing = new Set<string>();
  readonly #stale = new Set<string>();
  readonly #due = new DueQueue();
  readonly #expiring = new DueQueue();
  readonly #refusals = new Map<string, Backoff>();
  readonly #limit = new BatchLimit();
  readonly #retry: Backoff;
  readonly #setBacks: SetBacks;
  readonly #workAlarm: Alarm;
  readonly #expiryAlarm: Alarm;

  constructor(options: SvidRenewalOptions) {
    this.#options = options;
    this.#retry = new Backoff({ ...RETRY, random: options.policy.random });
    this.#setBacks = new SetBacks(options.clock);
    this.#workAlarm = new Alarm(options.clock);
    this.#expiryAlarm = new Alarm(options.clock);
  }

  /** Puts SVIDs of an earlier run into the cache. To be called before the cache is connected. */
  restore(stored: readonly StoredSvid[]): void {
    const svids = new Map<string, X509Svid>();
    const { clock, policy } = this.#options;
    for (const { entryId, contentKey, svid } of stored) {
      svids.set(entryId, svid);
      this.#held.set(entryId, contentKey);
      this.#schedule(entryId, svid, renewalTimeOfStored(svid, clock.now(), policy));
    }
    this.#options.cache.install(svids);
  }

  need(entry: RegistrationEntry): void {
    const contentKey = svidContentKey(entry);
    this.#wanted.set(entry.id, { entry, contentKey });
    if (this.#held.get(entry.id) === contentKey) return;
    this.#enqueue(entry.id);
    this.#workAlarm.ring();
  }

  release(entryId: string): void {
    this.#wanted.delete(entryId);
    this.#forget(entryId);
    this.#missing.delete(entryId);
    this.#stale.delete(entryId);
    this.#refusals.delete(entryId);
    this.#options.keeping?.remove(entryId);
  }

  /** Replaces these SVIDs as soon as possible, for example because the authority that signed them is tainted. */
  renewNow(entryIds: Iterable<string>): void {
    for (const id of entryIds) this.#enqueue(id);
    this.#workAlarm.ring();
  }

  /** Obtains and renews until the signal fires. */
  async runSigning(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let retryAt: Date | undefined;
    while (!signal.aborted) {
      const now = clock.now();
      const setBackMs = this.#setBacks.take();
      if (setBackMs > 0) {
        this.#catchUp(setBackMs, now);
        retryAt = undefined;
      }
      for (const id of this.#due.take(new Date(now.getTime() + GATHERING_MS))) this.#enqueue(id);
      if (this.#missing.size + this.#stale.size === 0) {
        await this.#workAlarm.wait(this.#due.next(), signal);
      } else if (retryAt !== undefined && retryAt > now) {
        await this.#workAlarm.wait(retryAt, signal);
      } else {
        const delayMs = await this.#signBatch(signal);
        retryAt = delayMs === undefined ? undefined : new Date(clock.now().getTime() + delayMs);
      }
    }
  }

  /** Takes out what has expired until the signal fires, whether or not there is a server to sign anew. */
  async runExpiry(signal: AbortSignal): Promise<void> {
    const { cache, clock, log } = this.#options;
    while (!signal.aborted) {
      await this.#expiryAlarm.wait(this.#expiring.next(), signal);
      const expired = this.#expiring.take(clock.now());
      if (expired.length === 0) continue;
      for (const id of expired) {
        const spiffeId = cache.entry(id)?.spiffeId;
        log.error({ entryId: id, spiffeId }, 'an X509-SVID has expired before it could be renewed');
        this.#forget(id);
        this.#options.keeping?.remove(id);
        this.#enqueue(id);
      }
      cache.withdraw(expired);
    }
  }

  /** After the clock was set back: SVIDs may begin in the future, and what was refused because of the clock may now be had. */
  #catchUp(setBackMs: number, now: Date): void {
    const { cache, log } = this.#options;
    this.#due.bringForward(setBackMs);
    const early = cache.entriesWithSvid(({ notBefore }) => notBefore > now);
    const missing = [...this.#wanted.keys()].filter((id) => !this.#held.has(id));
    for (const id of [...early, ...missing]) this.#enqueue(id);
    log.warn(
      { setBackSeconds: Math.round(setBackMs / 1000), early: early.length, missing: missing.length },
      'the clock was set back: renewing the X509-SVIDs that are not valid yet, and the others as planned',
    );
  }

  /** @returns how long to wait before the next batch; undefined when it went well. */
  async #signBatch(signal: AbortSignal): Promise<number | undefined> {
    const { cache, keyType, log, signer } = this.#options;
    const entries = this.#nextEntries();
    const ids = entries.map(({ id }) => id);
    try {
      const prepared = await prepareRequests(entries, keyType);
      const results = await signer.sign(
        prepared.map(({ entry, csr }) => ({ entryId: entry.id, csr })),
        signal,
      );
      await this.#takeResults(prepared, results);
      this.#limit.grow();
      this.#retry.reset();
      return undefined;
    } catch (error) {
      if (signal.aborted) return undefined;
      for (const id of ids) this.#enqueue(id);
      cache.settle(ids);
      // A server that cannot be reached says nothing about the size of the batch.
      if (!hasReason(error, 'unavailable', 'cancelled')) this.#limit.shrink();
      const retryAfterMs = error instanceof BonafideError ? (error.retryAfterMs ?? 0) : 0;
      const delayMs = Math.max(this.#retry.nextDelayMs(), retryAfterMs);
      log.warn(
        { count: ids.length, retryInMs: Math.round(delayMs) },
        `cannot obtain X509-SVIDs, the present ones stay in use: ${errorMessage(error)}`,
      );
      return delayMs;
    }
  }

  #nextEntries(): readonly RegistrationEntry[] {
    const entries: RegistrationEntry[] = [];
    for (const queue of [this.#missing, this.#stale]) {
      for (const id of queue) {
        if (entries.length >= this.#limit.size) return entries;
        queue.delete(id);
        const wanted = this.#wanted.get(id);
        if (wanted !== undefined) entries.push(wanted.entry);
      }
    }
    return entries;
  }

  async #takeResults(prepared: readonly PreparedRequest[], results: readonly SigningResult[]): Promise<void> {
    const { cache, clock, log } = this.#options;
    const now = clock.now();
    const svids = new Map<string, X509Svid>();
    const refused: string[] = [];
    for (const [index, request] of prepared.entries()) {
      if (index % SLICE === SLICE - 1) await nextTurn();
      try {
        svids.set(request.entry.id, readResult(request, results[index], now));
      } catch (error) {
        refused.push(request.entry.id);
        log.warn(
          { entryId: request.entry.id, spiffeId: request.entry.spiffeId },
          `no X509-SVID for an entry: ${errorMessage(error)}`,
        );
      }
    }
    // Entries may have changed or gone while the server was signing; what is out of date is asked for again already.
    for (const { entry } of prepared) {
      const wanted = this.#wanted.get(entry.id);
      const contentKey = svidContentKey(entry);
      const svid = svids.get(entry.id);
      if (wanted?.contentKey !== contentKey) svids.delete(entry.id);
      else if (svid !== undefined) this.#keep({ entryId: entry.id, contentKey, svid }, now);
    }
    cache.install(svids);
    this.#postpone(refused, now);
    if (svids.size > 0) log.info({ count: svids.size }, 'obtained X509-SVIDs');
  }

  #keep(stored: StoredSvid, now: Date): void {
    this.#held.set(stored.entryId, stored.contentKey);
    this.#refusals.delete(stored.entryId);
    this.#missing.delete(stored.entryId);
    this.#stale.delete(stored.entryId);
    const renewAt = renewalTimeOfNew(stored.svid, now, this.#options.policy);
    this.#schedule(stored.entryId, stored.svid, renewAt);
    this.#options.keeping?.save(stored);
  }

  /** The server answered, but not with a usable SVID. */
  #postpone(entryIds: readonly string[], now: Date): void {
    const { cache, policy } = this.#options;
    const outdated: string[] = [];
    for (const id of entryIds) {
      const wanted = this.#wanted.get(id);
      if (wanted === undefined) continue;
      // What is held names an identity that the entry no longer grants, and no other is coming.
      if (cache.svid(id)?.spiffeId !== wanted.entry.spiffeId) outdated.push(id);
      const backoff = this.#refusals.get(id) ?? new Backoff({ ...REFUSED_RETRY, random: policy.random });
      this.#refusals.set(id, backoff);
      this.#due.set(id, new Date(now.getTime() + backoff.nextDelayMs()));
    }
    for (const id of outdated) {
      this.#held.delete(id);
      this.#expiring.delete(id);
    }
    cache.withdraw(outdated);
    cache.settle(entryIds);
  }

  #schedule(entryId: string, { notAfter }: X509Svid, renewAt: Date): void {
    this.#due.set(entryId, renewAt);
    this.#expiring.set(entryId, notAfter);
    this.#expiryAlarm.ring();
    this.#workAlarm.ring();
  }

  #enqueue(entryId: string): void {
    if (!this.#wanted.has(entryId)) return;
    (this.#held.has(entryId) ? this.#stale : this.#missing).add(entryId);
  }

  #forget(entryId: string): void {
    this.#held.delete(entryId);
    this.#due.delete(entryId);
    this.#expiring.delete(entryId);
  }
}

/** @throws BonafideError when the answer is a refusal, or not what was asked for. */
function readResult(request: PreparedRequest, result: SigningResult | undefined, now: Date): X509Svid {
  if (result === undefined) throw new BonafideError('internal', 'the server sent no result for it');
  if (result.kind === 'refused') throw result.error;
  const svid = createX509Svid(result.certificateChain, request.privateKey, request.csr);
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
