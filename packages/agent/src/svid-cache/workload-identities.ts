/** What the SVID cache promises the Workload API: what a caller is entitled to, now and at every change. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Selector } from '@bonafide/shared/registration/selector';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

export interface WorkloadIdentity {
  readonly entry: RegistrationEntry;
  readonly svid: X509Svid;
}

/** Bundles a caller may have: our own, and every federated one that its entries name. */
export interface WorkloadBundles {
  readonly trustDomain: TrustDomain;
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>;
}

/** A consistent view: every entry whose selectors are a subset of the caller's, each with its SVID; empty when nothing matches. */
export interface WorkloadUpdate extends WorkloadBundles {
  /** Ordered by the entries' creation time, then id: the first is the caller's default identity. */
  readonly identities: readonly WorkloadIdentity[];
}

/** The same without the SVIDs: what matches, whether or not X.509-SVIDs can be had for it. */
export interface WorkloadEntries extends WorkloadBundles {
  /** In the order of the identities. */
  readonly entries: readonly RegistrationEntry[];
}

export interface Subscription {
  close(): void;
}

export interface WorkloadIdentities {
  /**
   * Calls `listener` once all matching entries have an SVID (at once when nothing matches), and again whenever the update's content
   * changes. Never called after `close()`. A listener that throws is logged and closed.
   */
  subscribe(selectors: readonly Selector[], listener: (update: WorkloadUpdate) => void): Subscription;
  /** As `subscribe`, without waiting for SVIDs or causing any to be obtained. */
  follow(selectors: readonly Selector[], listener: (update: WorkloadEntries) => void): Subscription;
  /** At this moment. */
  matching(selectors: readonly Selector[]): WorkloadEntries;
}
