/**
 * WIT-SVIDs for the callers of the Workload API (section 7): each entry that somebody watches has one with a key of its own, renewed
 * around half life. Nothing of it is written to disk.
 */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import type { KeyType } from '@bonafide/shared/crypto/key-type';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { addSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import { BatchRenewal } from '../svid-renewal/batch-renewal.js';
import { DueQueue } from '../svid-renewal/due-queue.js';
import type { Obtained, SvidHolder } from '../svid-renewal/svid-kind.js';
import { obtainWitSvids, witAuthorities } from './obtain-wit-svids.js';
import { isTrustedKey } from './token-authorities.js';
import type { WitSvidSigner } from './wit-svid-signer.js';
import { WitWatch, type WitListener, type WatchedEntry } from './wit-watch.js';

interface WitSvidsOptions {
  /** Says what is authorized now, and which keys are trusted. */
  readonly cache: Pick<SvidCache, 'bundle' | 'entry'>;
  readonly signer: WitSvidSigner;
  readonly keyType: KeyType;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A workload that restarts finds what it had. */
const KEPT_UNWATCHED_SECONDS = 600;

export class WitSvids implements SvidHolder<WitSvid> {
  readonly #options: WitSvidsOptions;
  readonly #entries = new Map<string, WatchedEntry>();
  readonly #batches: BatchRenewal<WitSvid>;
  /** Entries that nobody watches any more. */
  readonly #unwatched = new DueQueue();
  readonly #unwatchedAlarm: Alarm;
  /** Why there are none at all, as long as the server is asked again and again. */
  #unavailable: BonafideError | undefined;

  constructor(options: WitSvidsOptions) {
    this.#options = options;
    const { clock, log, random } = options;
    this.#unwatchedAlarm = new Alarm(clock);
    this.#batches = new BatchRenewal<WitSvid>({
      kind: {
        name: 'WIT-SVID',
        holder: this,
        contentKey: witContentKey,
        validityOf: ({ issuedAt, expiresAt }) => ({ notBefore: issuedAt, notAfter: expiresAt }),
        isTainted: (svid) => !isTrustedKey(svid.keyId, this.#authorities(svid.spiffeId)),
        obtain: (entries, _secondsLeft, signal) => this.#obtain(entries, signal),
        keeping: undefined,
      },
      policy: { availabilityTargetSeconds: undefined, random },
      clock,
      log,
    });
  }

  /** The server is heard again: what could not reach it is tried now. */
  retryNow(): void {
    this.#batches.retryNow();
  }

  /** Until closed, the listener hears of the WIT-SVIDs of the entries that are set: once all can be had, and at every change. */
  watch(listener: WitListener): WitWatch {
    return new WitWatch(listener, {
      now: () => this.#options.clock.now(),
      add: (entry, watch) => this.#add(entry, watch),
      remove: (entryId, watch) => {
        this.#remove(entryId, watch);
      },
    });
  }

  /** To be called when entries or keys have changed: drops and replaces what may not be handed out any more. */
  review(): void {
    const { cache } = this.#options;
    const tainted: string[] = [];
    const unverifiable: string[] = [];
    for (const [id, { svid }] of this.#entries) {
      if (cache.entry(id) === undefined) {
        this.#drop(id);
      } else if (svid !== undefined) {
        const authority = this.#authorities(svid.spiffeId).find(({ keyId }) => keyId === svid.keyId);
        if (authority === undefined) unverifiable.push(id);
        else if (authority.isTainted) tainted.push(id);
      }
    }
    this.#batches.renewNow(tainted);
    this.#batches.replace(unverifiable);
  }

  /** Obtains, renews and drops until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#batches.runSigning(signal),
      this.#batches.runExpiry(signal),
      this.#runUnwatched(signal),
    ]);
  }

  svid(entryId: string): WitSvid | undefined {
    return this.#entries.get(entryId)?.svid;
  }

  entriesWithSvid(condition: (svid: WitSvid) => boolean): readonly string[] {
    return [...this.#entries].flatMap(([id, { svid }]) =>
      svid !== undefined && condition(svid) ? [id] : [],
    );
  }

  install(svids: ReadonlyMap<string, WitSvid>): void {
    this.#change(svids.keys(), (watched, id) => {
      watched.svid = svids.get(id);
    });
  }

  settle(entryIds: readonly string[]): void {
    this.#change(entryIds, () => undefined);
  }

  withdraw(entryIds: readonly string[]): void {
    this.#change(entryIds, (watched) => {
      watched.svid = undefined;
    });
  }

  #change(entryIds: Iterable<string>, apply: (watched: WatchedEntry, id: string) => void): void {
    const touched = new Set<WitWatch>();
    for (const id of entryIds) {
      const watched = this.#entries.get(id);
      if (watched === undefined) continue;
      apply(watched, id);
      watched.isSettled = true;
      for (const watch of watched.watches) touched.add(watch);
    }
    for (const watch of touched) watch.refresh();
  }

  #add(entry: RegistrationEntry, watch: WitWatch): WatchedEntry {
    let watched = this.#entries.get(entry.id);
    if (watched?.entry !== entry) {
      watched ??= { entry, svid: undefined, isSettled: false, watches: new Set() };
      watched.entry = entry;
      this.#entries.set(entry.id, watched);
      this.#batches.need(entry);
    }
    watched.watches.add(watch);
    this.#unwatched.delete(entry.id);
    if (this.#unavailable !== undefined) watch.fail(this.#unavailable);
    return watched;
  }

  #remove(entryId: string, watch: WitWatch): void {
    const watched = this.#entries.get(entryId);
    if (watched?.watches.delete(watch) !== true || watched.watches.size > 0) return;
    const { cache, clock } = this.#options;
    if (cache.entry(entryId) === undefined) {
      this.#drop(entryId);
      return;
    }
    this.#unwatched.set(entryId, addSeconds(clock.now(), KEPT_UNWATCHED_SECONDS));
    this.#unwatchedAlarm.ring();
  }

  #drop(entryId: string): void {
    this.withdraw([entryId]);
    this.#entries.delete(entryId);
    this.#unwatched.delete(entryId);
    this.#batches.release(entryId);
    if (this.#entries.size === 0) this.#unavailable = undefined;
  }

  async #runUnwatched(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#unwatchedAlarm.wait(this.#unwatched.next(), signal);
      for (const id of this.#unwatched.take(this.#options.clock.now())) this.#drop(id);
    }
  }

  async #obtain(
    entries: readonly RegistrationEntry[],
    signal: AbortSignal,
  ): Promise<readonly Obtained<WitSvid>[]> {
    const { cache, clock, keyType } = this.#options;
    const signer: WitSvidSigner = {
      sign: async (...request) => {
        const results = await this.#options.signer.sign(...request);
        this.#unavailable = undefined;
        return results;
      },
    };
    try {
      return await obtainWitSvids(entries, { cache, clock, keyType, signer, signal });
    } catch (error) {
      if (hasReason(error, 'unimplemented')) this.#refuse(entries, error);
      throw error;
    }
  }

  /** Section 7: callers are to know that there are none to be had. */
  #refuse(entries: readonly RegistrationEntry[], error: BonafideError): void {
    const reason = new BonafideError('unimplemented', 'the server of this agent has no WIT-SVIDs', {
      cause: error,
    });
    this.#unavailable = reason;
    for (const { id } of entries) {
      for (const watch of [...(this.#entries.get(id)?.watches ?? [])]) watch.fail(reason);
    }
  }

  #authorities(spiffeId: SpiffeId): readonly TokenAuthority[] {
    return witAuthorities(this.#options.cache, spiffeId);
  }
}

/** Equal for two entries when a WIT-SVID that was issued for one serves the other as well. */
function witContentKey(entry: RegistrationEntry): string {
  return JSON.stringify([
    entry.spiffeId,
    entry.x509SvidTtlSeconds ?? 0,
    entry.jwtSvidTtlSeconds ?? 0,
    entry.expiresAt?.getTime() ?? 0,
    entry.createdAt.getTime(),
  ]);
}
