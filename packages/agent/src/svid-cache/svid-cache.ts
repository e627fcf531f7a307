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
import { CachedBundles } from './cached-bundles.js';
import { CachedEntry, link, svidContentKey, withHint, type Holding } from './cached-entry.js';
import { PICKED, PickedViews, type EntryCondition, type PickedEntries } from './picked-views.js';
import { SubsetIndex } from './subset-index.js';
import { SupersetIndex } from './superset-index.js';
import { SvidRequests, type SvidDemand } from './svid-requests.js';
import { BUNDLES, ENTRIES, IDENTITIES, type ViewContent, type ViewKind } from './view-kind.js';
import type {
  Subscription,
  WorkloadBundles,
  WorkloadEntries,
  WorkloadIdentities,
  WorkloadUpdate,
} from './workload-identities.js';
import { refresh, WorkloadView, type CacheView } from './workload-view.js';

interface SvidCacheOptions {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many SVIDs are held; more only when more have a caller, who always gets one. */
  readonly maximumSvids: number;
}

export class SvidCache implements WorkloadIdentities {
  readonly #options: SvidCacheOptions;
  readonly #entries = new Map<string, CachedEntry>();
  readonly #bundles = new CachedBundles();
  readonly #entriesBySelectors = new SubsetIndex<CachedEntry>();
  readonly #viewsBySelectors = new SupersetIndex<CacheView>();
  /** By the selectors of those who look. */
  readonly #identityViews = new Map<string, WorkloadView<WorkloadUpdate>>();
  readonly #entryViews = new Map<string, WorkloadView<WorkloadEntries>>();
  readonly #bundleViews = new Map<string, WorkloadView<WorkloadBundles>>();
  readonly #picked = new PickedViews();
  readonly #content: ViewContent;
  readonly #requests: SvidRequests;

  constructor(options: SvidCacheOptions) {
    this.#options = options;
    this.#requests = new SvidRequests(options.maximumSvids);
    this.#content = {
      trustDomain: options.trustDomain,
      bundles: this.#bundles.byTrustDomain,
      now: () => options.clock.now(),
    };
  }

  /** Tells `demand` of every entry that needs an SVID, now and from now on. To be called once. */
  connect(demand: SvidDemand): void {
    this.#requests.connect(demand, this.#entries.values());
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
    return [...this.#bundles.byTrustDomain.values()];
  }

  bundle(trustDomain: TrustDomain): TrustBundle | undefined {
    return this.#bundles.byTrustDomain.get(trustDomain);
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

  /** Every bundle that is held, now and at every change. */
  followBundles(listener: (update: WorkloadBundles) => void): Subscription {
    return this.#view(BUNDLES, this.#bundleViews, []).subscribe(listener);
  }

  /** Every entry that meets the condition, whatever its selectors, with the SVIDs there are; for what the agent itself writes somewhere. */
  pick(condition: EntryCondition, listener: (update: PickedEntries) => void): Subscription {
    const view = new WorkloadView<PickedEntries>({
      kind: PICKED,
      content: this.#content,
      log: this.#options.log,
      abandon: () => {
        this.#picked.remove(view);
        this.#abandon(view);
      },
    });
    this.#picked.add(view, condition);
    for (const cached of this.#entries.values()) {
      if (!condition(cached.entry)) continue;
      link(view, cached);
      this.#requests.use(cached);
    }
    return view.subscribe(listener);
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
      for (const id of [...this.#entries.keys()]) if (!ids.has(id)) this.#remove(id, touched);
      for (const entry of change.entries) this.#upsert(entry, touched);
    } else {
      for (const id of change.removedEntryIds) this.#remove(id, touched);
      for (const entry of change.upsertedEntries) this.#upsert(entry, touched);
    }
    if (this.#bundles.apply(change)) {
      for (const view of this.#identityViews.values()) touched.add(view);
      for (const view of this.#entryViews.values()) touched.add(view);
      for (const view of this.#picked.all()) touched.add(view);
      for (const view of this.#bundleViews.values()) touched.add(view);
    }
    this.#requests.prefetch(this.#entries);
    refresh(touched);
  }

  /** Puts new SVIDs in place, all at once; those of entries that have gone meanwhile are dropped. */
  install(svids: ReadonlyMap<string, X509Svid>): void {
    const touched = new Set<CacheView>();
    for (const [id, svid] of svids) {
      const cached = this.#entries.get(id);
      if (cached?.isRequested !== true) continue;
      cached.svid = withHint(svid, cached.entry.hint);
      cached.settle(touched);
    }
    refresh(touched);
  }

  /** An attempt has failed: callers who wait are given what there is. */
  settle(entryIds: readonly string[]): void {
    const touched = new Set<CacheView>();
    for (const id of entryIds) {
      const cached = this.#entries.get(id);
      if (cached?.isSettled === false) cached.settle(touched);
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
      cached.settle(touched);
    }
    refresh(touched);
  }

  #upsert(entry: RegistrationEntry, touched: Set<CacheView>): void {
    const old = this.#entries.get(entry.id);
    if (old !== undefined && isDeepStrictEqual(old.entry, entry)) return;
    const cached = new CachedEntry(entry);
    if (old !== undefined) {
      this.#unlink(old, touched);
      cached.svid = old.svid === undefined ? undefined : withHint(old.svid, entry.hint);
      cached.isSettled = old.isSettled;
      cached.isRequested = old.isRequested;
    }
    this.#entries.set(entry.id, cached);
    const views: CacheView[] = this.#picked.of(entry);
    // Meant for a secret store, and not for callers of the Workload API, as in SPIRE.
    if (!entry.storesSvid) {
      this.#entriesBySelectors.add(cached.selectors, cached);
      views.push(...this.#viewsBySelectors.supersetsOf(cached.selectors));
    }
    for (const view of views) {
      link(view, cached);
      touched.add(view);
    }
    this.#requests.replace(cached, old === undefined || svidContentKey(old.entry) !== svidContentKey(entry));
  }

  #remove(id: string, touched: Set<CacheView>): void {
    const cached = this.#entries.get(id);
    if (cached === undefined) return;
    this.#entries.delete(id);
    this.#unlink(cached, touched);
    this.#requests.release(cached);
  }

  #unlink(cached: CachedEntry, touched: Set<CacheView>): void {
    if (!cached.entry.storesSvid) this.#entriesBySelectors.remove(cached.selectors, cached);
    for (const view of cached.views) {
      view.matches.delete(cached);
      touched.add(view);
    }
    cached.views.clear();
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
        this.#viewsBySelectors.remove(view);
        this.#abandon(view);
      },
    });
    views.set(key, view);
    const names = new Set(texts);
    this.#viewsBySelectors.add(names, view);
    for (const cached of this.#entriesBySelectors.subsetsOf(names)) {
      link(view, cached);
      if (view.needsSvids) this.#requests.use(cached);
    }
    return view;
  }

  #abandon(view: CacheView): void {
    for (const cached of view.matches) {
      cached.views.delete(view);
      if (view.needsSvids && !cached.isWatched) this.#requests.rest(cached);
    }
    view.matches.clear();
  }
}
