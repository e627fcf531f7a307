/** For which entries SVIDs are held: for those that have a caller always; for others, ahead of any caller or after the last, as many as fit. */
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
  readonly #maximum: number;
  /** By entry ID, those without a caller; whose caller left longest ago comes first, and before it those that never had one. */
  readonly #idle = new Map<string, CachedEntry>();
  #demand: SvidDemand | undefined;
  #count = 0;

  /** @param maximum of SVIDs that are held, unless more have a caller. */
  constructor(maximum: number) {
    this.#maximum = maximum;
  }

  /** Tells `demand` of every entry that needs an SVID, now and from now on. To be called once. */
  connect(demand: SvidDemand, entries: Iterable<CachedEntry>): void {
    this.#demand = demand;
    for (const cached of entries) if (cached.isRequested) demand.need(cached.entry);
  }

  /** Asks for SVIDs ahead of any caller, as far as the limit allows. */
  prefetch(entries: ReadonlyMap<string, CachedEntry>): void {
    if (this.#count >= Math.min(this.#maximum, entries.size)) return;
    for (const cached of entries.values()) {
      if (this.#count >= this.#maximum) return;
      if (cached.isRequested || !mayBeIdle(cached)) continue;
      this.#request(cached);
      this.#idle.set(cached.entry.id, cached);
    }
  }

  /** The entry has a caller: its SVID is held, whatever the limit says, and another that has none makes room for it. */
  use(cached: CachedEntry): void {
    this.#idle.delete(cached.entry.id);
    if (!cached.isRequested) this.#request(cached);
    this.#makeRoom();
  }

  /** The entry has no caller any more. */
  rest(cached: CachedEntry): void {
    if (!cached.isRequested) return;
    if (!mayBeIdle(cached)) {
      this.release(cached);
      return;
    }
    this.#idle.delete(cached.entry.id);
    this.#idle.set(cached.entry.id, cached);
    this.#makeRoom();
  }

  /**
   * The entry has come in a new form, and with it the place that it has among those without a caller.
   * @param isOtherSvid what its SVID must say has changed.
   */
  replace(cached: CachedEntry, isOtherSvid: boolean): void {
    if (this.#idle.has(cached.entry.id)) this.#idle.set(cached.entry.id, cached);
    if (cached.isRequested && isOtherSvid) this.#demand?.need(cached.entry);
    if (cached.isWatched) this.use(cached);
    else if (!this.#idle.has(cached.entry.id)) this.rest(cached);
  }

  release(cached: CachedEntry): void {
    this.#idle.delete(cached.entry.id);
    if (!cached.isRequested) return;
    cached.isRequested = false;
    cached.isSettled = false;
    cached.svid = undefined;
    this.#count -= 1;
    this.#demand?.release(cached.entry.id);
  }

  #request(cached: CachedEntry): void {
    cached.isRequested = true;
    cached.isSettled = false;
    this.#count += 1;
    this.#demand?.need(cached.entry);
  }

  #makeRoom(): void {
    for (const cached of this.#idle.values()) {
      if (this.#count <= this.#maximum) return;
      this.release(cached);
    }
  }
}

/** Whether its SVID is held without a caller; a secret store is one. */
function mayBeIdle({ entry }: CachedEntry): boolean {
  return !entry.disablesX509SvidPrefetch && !entry.storesSvid;
}
