/** A registration entry in the cache with what is known about its SVID. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, normalizeSelectors } from '@bonafide/shared/registration/selector';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { CacheView } from './workload-view.js';

export class CachedEntry {
  readonly entry: RegistrationEntry;
  /** Sorted, without repeats: the form in which the indexes compare them. */
  readonly selectors: readonly string[];
  svid: X509Svid | undefined;
  /** True once an attempt to obtain an SVID has ended, well or badly: callers no longer wait for it. */
  isSettled = false;
  /** An SVID has been asked for, or is held. */
  isRequested = false;
  /** The callers that this entry concerns. */
  readonly views = new Set<CacheView>();

  constructor(entry: RegistrationEntry) {
    this.entry = entry;
    this.selectors = normalizeSelectors(entry.selectors).map(formatSelector);
  }

  /** Whether a caller wants its X.509-SVID. */
  get isWatched(): boolean {
    for (const view of this.views) if (view.needsSvids) return true;
    return false;
  }

  /** Callers wait no longer. @param touched gets those who are to be told. */
  settle(touched: Set<CacheView>): void {
    this.isSettled = true;
    for (const view of this.views) touched.add(view);
  }
}

/** An entry with the SVID that is held for it, and whether anybody asks for it now. */
export interface Holding {
  readonly entry: RegistrationEntry;
  readonly svid: X509Svid | undefined;
  readonly isInUse: boolean;
}

/** Equal for two entries when an SVID that was issued for one serves the other as well. */
export function svidContentKey(entry: RegistrationEntry): string {
  return JSON.stringify([
    entry.spiffeId,
    entry.x509SvidTtlSeconds ?? 0,
    entry.expiresAt?.getTime() ?? 0,
    entry.dnsNames,
    // An entry that was deleted and made again under its old id starts anew.
    entry.createdAt.getTime(),
  ]);
}

/** The order in which a caller sees its identities: the oldest entry is its default. */
export function compareByAge(a: CachedEntry, b: CachedEntry): number {
  const byTime = a.entry.createdAt.getTime() - b.entry.createdAt.getTime();
  if (byTime !== 0) return byTime;
  return a.entry.id < b.entry.id ? -1 : a.entry.id > b.entry.id ? 1 : 0;
}

export function link(view: CacheView, cached: CachedEntry): void {
  view.matches.add(cached);
  cached.views.add(view);
}

export function withHint(svid: X509Svid, hint: string | undefined): X509Svid {
  return svid.hint === hint ? svid : { ...svid, hint };
}
