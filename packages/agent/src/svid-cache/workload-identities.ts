/** What the SVID cache promises the endpoints: the identities of a caller, now and at every change. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Selector } from '@bonafide/shared/registration/selector';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

export interface WorkloadIdentity {
  readonly entry: RegistrationEntry;
  readonly svid: X509Svid;
}

/** A consistent view: every entry whose selectors are a subset of the caller's, each with its SVID; empty when nothing matches. */
export interface WorkloadUpdate {
  /** Ordered by the entries' creation time, then id: the first is the caller's default identity. */
  readonly identities: readonly WorkloadIdentity[];
  readonly trustDomain: TrustDomain;
  /** Our own bundle and every federated one that these entries name. */
  readonly bundles: ReadonlyMap<TrustDomain, TrustBundle>;
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
}
