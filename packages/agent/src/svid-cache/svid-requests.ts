/** For which entries SVIDs are asked: for those that have a caller always, for others ahead of any caller as far as the limit allows. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { CachedEntry } from './cached-entry.js';

/** Whoever obtains SVIDs for the cache. */
export interface SvidDemand {
  /** The entry is to have an SVID from now on, or what its SVID must say has changed. */
  need(entry: RegistrationEntry): void;
  /** The entry needs none any more. */
  release(entryId: string): void;
}

export class SvidRequests {
  readonly #maximumPrefetched: number;
  #demand: SvidDemand | undefined;
  #count = 0;

  /** @param maximumPrefetched how many SVIDs are obtained before anyone asks for them. */
  constructor(maximumPrefetched: number) {
    this.#maximumPrefetched = maximumPrefetched;
  }

  /** Tells `demand` of every entry that needs an SVID, now and from now on. To be called once. */
  connect(demand: SvidDemand, entries: Iterable<CachedEntry>): void {
    this.#demand = demand;
    for (const cached of entries) if (cached.isRequested) demand.need(cached.entry);
  }

  /** Asks for SVIDs ahead of any caller, as far as the limit allows. */
  prefetch(entries: ReadonlyMap<string, CachedEntry>): void {
    if (this.#count >= Math.min(this.#maximumPrefetched, entries.size)) return;
    for (const cached of entries.values()) {
      if (this.#count >= this.#maximumPrefetched) return;
      if (!cached.isRequested && !cached.entry.disablesX509SvidPrefetch) this.request(cached);
    }
  }

  request(cached: CachedEntry): void {
    cached.isRequested = true;
    cached.isSettled = false;
    this.#count += 1;
    this.#demand?.need(cached.entry);
  }

  /** What the SVID of an entry for which one was asked must say has changed. */
  renew(entry: RegistrationEntry): void {
    this.#demand?.need(entry);
  }

  release(cached: CachedEntry): void {
    if (!cached.isRequested) return;
    cached.isRequested = false;
    cached.isSettled = false;
    cached.svid = undefined;
    this.#count -= 1;
    this.#demand?.release(cached.entry.id);
  }

  /** Whether it is to be had only while it has a caller. */
  isSurplus({ entry }: CachedEntry): boolean {
    return entry.disablesX509SvidPrefetch || this.#count > this.#maximumPrefetched;
  }
}
