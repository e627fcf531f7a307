/** The two ways to look at what a caller is entitled to: its identities with their X.509-SVIDs, or its entries alone. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { compareByAge, type CachedEntry } from './cached-entry.js';
import type {
  WorkloadBundles,
  WorkloadEntries,
  WorkloadIdentity,
  WorkloadUpdate,
} from './workload-identities.js';

/** The parts of the cache that a view reads. */
export interface ViewContent {
  readonly trustDomain: TrustDomain;
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>;
  now(): Date;
}

export interface ViewKind<Update> {
  /** Whether X.509-SVIDs are to be obtained for what matches. */
  readonly needsSvids: boolean;
  /** Whether a first answer is worth waiting for. */
  isWaiting(matches: ReadonlySet<CachedEntry>, content: ViewContent): boolean;
  compose(matches: ReadonlySet<CachedEntry>, content: ViewContent): Update;
  hasSameContent(a: Update, b: Update): boolean;
}

export const IDENTITIES: ViewKind<WorkloadUpdate> = {
  needsSvids: true,

  /** While SVIDs are on their way, and while there is none at all although entries match. */
  isWaiting(matches, content) {
    if (matches.size === 0) return false;
    const now = content.now();
    let hasSvid = false;
    for (const { isSettled, svid } of matches) {
      if (!isSettled) return true;
      hasSvid ||= svid !== undefined && svid.notAfter > now;
    }
    return !hasSvid;
  },

  compose(matches, content) {
    const now = content.now();
    const identities: WorkloadIdentity[] = [];
    for (const { entry, svid } of [...matches].sort(compareByAge)) {
      if (svid !== undefined && svid.notAfter > now) identities.push({ entry, svid });
    }
    const entries = identities.map(({ entry }) => entry);
    return { identities, trustDomain: content.trustDomain, bundles: bundlesFor(entries, content) };
  },

  hasSameContent: (a, b) =>
    hasSameItems(
      a.identities.map(({ svid }) => svid),
      b.identities.map(({ svid }) => svid),
    ) && hasSameBundles(a, b),
};

export const ENTRIES: ViewKind<WorkloadEntries> = {
  needsSvids: false,
  isWaiting: () => false,

  compose(matches, content) {
    const entries = [...matches].sort(compareByAge).map(({ entry }) => entry);
    return { entries, trustDomain: content.trustDomain, bundles: bundlesFor(entries, content) };
  },

  hasSameContent: (a, b) => hasSameItems(a.entries, b.entries) && hasSameBundles(a, b),
};

/** Every bundle that is held, whoever may have it. */
export const BUNDLES: ViewKind<WorkloadBundles> = {
  needsSvids: false,
  isWaiting: () => false,
  compose: (_matches, { trustDomain, bundles }) => ({ trustDomain, bundles: new Map(bundles) }),
  hasSameContent: hasSameBundles,
};

function bundlesFor(
  entries: readonly RegistrationEntry[],
  { trustDomain, bundles: known }: ViewContent,
): ReadonlyMap<TrustDomain, TrustBundle> {
  const bundles = new Map<TrustDomain, TrustBundle>();
  for (const name of [trustDomain, ...entries.flatMap(({ federatesWith }) => federatesWith)]) {
    const bundle = known.get(name);
    if (bundle !== undefined) bundles.set(name, bundle);
  }
  return bundles;
}

/** SVIDs, entries and bundles are never changed in place, so the same content is the same objects. */
function hasSameItems(a: readonly object[], b: readonly object[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function hasSameBundles({ bundles: a }: WorkloadBundles, { bundles: b }: WorkloadBundles): boolean {
  if (a.size !== b.size) return false;
  for (const [name, bundle] of a) if (b.get(name) !== bundle) return false;
  return true;
}
