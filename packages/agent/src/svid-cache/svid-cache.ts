/** Everything the agent may hand to workloads: authorized entries, their SVIDs and the bundles, and who is to be told of a change. */
import { isDeepStrictEqual } from 'node:util';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { AuthorizedChange } from './authorized-change.js';
import { CachedEntry, svidContentKey } from './cached-entry.js';
import { SubsetIndex } from './subset-index.js';
import { SupersetIndex } from './superset-index.js';
import { ENTRIES, IDENTITIES, type ViewContent, type ViewKind } from './view-kind.js';
import type {
  Subscription,
  WorkloadEntries,
  WorkloadIdentities,
  WorkloadUpdate,
} from './workload-identities.js';
import { WorkloadView, type CacheView } from './workload-view.js';

/** Whoever obtains SVIDs for the cache. */
export interface SvidDemand {
  /** The entry is to have an SVID from now on, or what its SVID must say has changed. */
  need(entry: RegistrationEntry): void;
  /** The entry needs none any more. */
  release(entryId: string): void;
}

interface Holding {
  readonly entry: RegistrationEntry;
  readonly svid: X509Svid | undefined;
  readonly isInUse: boolean;
}

interface SvidCacheOptions {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many SVIDs are obtained before anyone asks for them; entries that have a caller always get one. */
  readonly maximumPrefetched: number;
}

export class SvidCache implements WorkloadIdentities {
  readonly #options: SvidCacheOptions;
  readonly #entries = new Map<string, CachedEntry>();
  readonly #bundles = new Map<TrustDomain, TrustBundle>();
  readonly #entriesBySelectors = new SubsetIndex<CachedEntry>();
  readonly #viewsBySelectors = new SupersetIndex<CacheView>();
  /** By the selectors of those who look. */
  readonly #identityViews = new Map<string, WorkloadView<WorkloadUpdate>>();
  readonly #entryViews = new Map<string, WorkloadView<WorkloadEntries>>();
  readonly #content: ViewContent;
  #demand: SvidDemand | undefined;
  #requested = 0;

  constructor(options: SvidCacheOptions) {
    this.#options = options;
    this.#content = {
      trustDomain: options.trustDomain,
      bundles: this.#bundles,
      now: () => options.clock.now(),
    };
  }

  /** Tells `demand` of every entry that needs an SVID, now and from now on. To be called once. */
  connect(demand: SvidDemand): void {
    this.#demand = demand;
    for (const cached of this.#entries.values()) if (cached.isRequested) demand.need(cached.entry);
  }

  get entryCount(): number {
    return this.#entries.size;
  }

  entry(id: string): RegistrationEntry | undefined {
    return this.#entries.get(id)?.entry;
  }

  entries(): readonly RegistrationEntry[] {
    return Array.from(this.#entries.values(), ({ entry }) => entry);
  }

  bundles(): readonly TrustBundle[] {
    return [...this.#bundles.values()];
  }

  bundle(trustDomain: TrustDomain): TrustBundle | undefined {
    return this.#bundles.get(trustDomain);
  }

  svid(entryId: string): X509Svid | undefined {
    return this.#entries.get(entryId)?.svid;
  }

  /** Ids of the entries whose SVID meets the condition. */
  entriesWithSvid(condition: (svid: X509Svid) => boolean): readonly string[] {
    return Array.from(this.#entries.values())
      .filter(({ svid }) => svid !== undefined && condition(svid))
      .map(({ entry }) => entry.id);
  }

  /** Every entry with the SVID that is held for it, and whether anybody asks for it now. */
  holdings(): readonly Holding[] {
    return Array.from(this.#entries.values(), ({ entry, svid, views }) => ({
      entry,
      svid,
      isInUse: views.size > 0,
    }));
  }

  subscribe(selectors: readonly Selector[], listener: (update: WorkloadUpdate) => void): Subscription {
    return this.#view(IDENTITIES, this.#identityViews, selectors).subscribe(listener);
  }

  follow(selectors: readonly Selector[], listener: (update: WorkloadEntries) => void): Subscription {
    return this.#view(ENTRIES, this.#entryViews, selectors).subscribe(listener);
  }

  matching(selectors: readonly Selector[]): WorkloadEntries {
    const texts = new Set(normalizeSelectors(selectors).map(formatSelector));
    return ENTRIES.compose(new Set(this.#entriesBySelectors.subsetsOf(texts)), this.#content);
  }

  /** Takes in what the server says; subscribers hear of it once, when all of it is applied. */
  apply(change: AuthorizedChange): void {
    const touched = new Set<CacheView>();
    if (change.kind === 'snapshot') {
      const ids = new Set(change.entries.map(({ id }) => id));
      const domains = new Set(change.bundles.map(({ trustDomain }) => trustDomain));
      for (const id of [...this.#entries.keys()]) if (!ids.has(id)) this.#remove(id, touched);
      for (const entry of change.entries) this.#upsert(entry, touched);
      for (const name of [...this.#bundles.keys()]) if (!domains.has(name)) this.#removeBundle(name, touched);
      for (const bundle of change.bundles) this.#upsertBundle(bundle, touched);
    } else {
      for (const id of change.removedEntryIds) this.#remove(id, touched);
      for (const entry of change.upsertedEntries) this.#upsert(entry, touched);
      for (const name of change.removedBundleTrustDomains) this.#removeBundle(name, touched);
      for (const bundle of change.upsertedBundles) this.#upsertBundle(bundle, touched);
    }
    this.#prefetch();
    refresh(touched);
  }

  /** Puts new SVIDs in place, all at once; those of entries that have gone meanwhile are dropped. */
  install(svids: ReadonlyMap<string, X509Svid>): void {
    const touched = new Set<CacheView>();
    for (const [id, svid] of svids) {
      const cached = this.#entries.get(id);
      if (cached?.isRequested !== true) continue;
      cached.svid = withHint(svid, cached.entry.hint);
      settle(cached, touched);
    }
    refresh(touched);
  }

  /** An attempt has failed: callers who wait are given what there is. */
  settle(entryIds: readonly string[]): void {
    const touched = new Set<CacheView>();
    for (const id of entryIds) {
      const cached = this.#entries.get(id);
      if (cached?.isSettled === false) settle(cached, touched);
    }
    refresh(touched);
  }

  /** Takes SVIDs out that may no longer be handed out, for example because they have expired. */
  withdraw(entryIds: readonly string[]): void {
    const touched = new Set<CacheView>();
    for (const id of entryIds) {
      const cached = this.#entries.get(id);
      if (cached?.svid === undefined) continue;
      cached.svid = undefined;
      settle(cached, touched);
    }
    refresh(touched);
  }

  #upsert(entry: RegistrationEntry, touched: Set<CacheView>): void {
    const old = this.#entries.get(entry.id);
    if (entry.storesSvid) {
      // Meant for a secret store, not for callers of the Workload API, as in SPIRE.
      if (old !== undefined) this.#remove(entry.id, touched);
      return;
    }
    if (old !== undefined && isDeepStrictEqual(old.entry, entry)) return;
    const cached = new CachedEntry(entry);
    if (old !== undefined) {
      this.#unlink(old, touched);
      cached.svid = old.svid === undefined ? undefined : withHint(old.svid, entry.hint);
      cached.isSettled = old.isSettled;
      cached.isRequested = old.isRequested;
    }
    this.#entries.set(entry.id, cached);
    this.#entriesBySelectors.add(cached.selectors, cached);
    for (const view of this.#viewsBySelectors.supersetsOf(cached.selectors)) {
      link(view, cached);
      touched.add(view);
    }
    if (cached.isRequested) {
      if (old === undefined || svidContentKey(old.entry) !== svidContentKey(entry)) this.#demand?.need(entry);
    } else if (isWatched(cached)) {
      this.#request(cached);
    }
  }

  #remove(id: string, touched: Set<CacheView>): void {
    const cached = this.#entries.get(id);
    if (cached === undefined) return;
    this.#entries.delete(id);
    this.#unlink(cached, touched);
    this.#release(cached);
  }

  #unlink(cached: CachedEntry, touched: Set<CacheView>): void {
    this.#entriesBySelectors.remove(cached.selectors, cached);
    for (const view of cached.views) {
      view.matches.delete(cached);
      touched.add(view);
    }
    cached.views.clear();
  }

  #upsertBundle(bundle: TrustBundle, touched: Set<CacheView>): void {
    if (isDeepStrictEqual(this.#bundles.get(bundle.trustDomain), bundle)) return;
    this.#bundles.set(bundle.trustDomain, bundle);
    this.#touchAll(touched);
  }

  #removeBundle(trustDomain: TrustDomain, touched: Set<CacheView>): void {
    if (!this.#bundles.delete(trustDomain)) return;
    this.#touchAll(touched);
  }

  #touchAll(touched: Set<CacheView>): void {
    for (const view of this.#identityViews.values()) touched.add(view);
    for (const view of this.#entryViews.values()) touched.add(view);
  }

  #view<Update>(
    kind: ViewKind<Update>,
    views: Map<string, WorkloadView<Update>>,
    selectors: readonly Selector[],
  ): WorkloadView<Update> {
    const texts = normalizeSelectors(selectors).map(formatSelector);
    const key = JSON.stringify(texts);
    const present = views.get(key);
    if (present !== undefined) return present;
    const view = new WorkloadView<Update>({
      kind,
      content: this.#content,
      log: this.#options.log,
      abandon: () => {
        views.delete(key);
        this.#abandon(view);
      },
    });
    views.set(key, view);
    const names = new Set(texts);
    this.#viewsBySelectors.add(names, view);
    for (const cached of this.#entriesBySelectors.subsetsOf(names)) {
      link(view, cached);
      if (view.needsSvids && !cached.isRequested) this.#request(cached);
    }
    return view;
  }

  #abandon(view: CacheView): void {
    this.#viewsBySelectors.remove(view);
    for (const cached of view.matches) {
      cached.views.delete(view);
      const isSurplus =
        cached.entry.disablesX509SvidPrefetch || this.#requested > this.#options.maximumPrefetched;
      if (view.needsSvids && isSurplus && !isWatched(cached)) this.#release(cached);
    }
    view.matches.clear();
  }

  /** Asks for SVIDs ahead of any caller, as far as the limit allows. */
  #prefetch(): void {
    if (this.#requested >= Math.min(this.#options.maximumPrefetched, this.#entries.size)) return;
    for (const cached of this.#entries.values()) {
      if (this.#requested >= this.#options.maximumPrefetched) return;
      if (!cached.isRequested && !cached.entry.disablesX509SvidPrefetch) this.#request(cached);
    }
  }

  #request(cached: CachedEntry): void {
    cached.isRequested = true;
    cached.isSettled = false;
    this.#requested += 1;
    this.#demand?.need(cached.entry);
  }

  #release(cached: CachedEntry): void {
    if (!cached.isRequested) return;
    cached.isRequested = false;
    cached.isSettled = false;
    cached.svid = undefined;
    this.#requested -= 1;
    this.#demand?.release(cached.entry.id);
  }
}

/** Whether a caller wants its X.509-SVID. */
function isWatched({ views }: CachedEntry): boolean {
  for (const view of views) if (view.needsSvids) return true;
  return false;
}

function link(view: CacheView, cached: CachedEntry): void {
  view.matches.add(cached);
  cached.views.add(view);
}

function settle(cached: CachedEntry, touched: Set<CacheView>): void {
  cached.isSettled = true;
  for (const view of cached.views) touched.add(view);
}

function refresh(views: Iterable<CacheView>): void {
  for (const view of views) view.refresh();
}

function withHint(svid: X509Svid, hint: string | undefined): X509Svid {
  return svid.hint === hint ? svid : { ...svid, hint };
}
