/** What the Workload API tells a workload (X.509-SVID profile, SPIFFE Workload API section 5): its SVIDs and whom to believe. */
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

/** The authorities by which X.509-SVIDs of one trust domain are verified, and of no other. */
export interface X509Bundle {
  readonly trustDomain: TrustDomain;
  /** CA certificates, DER. */
  readonly x509Authorities: readonly Buffer[];
}

/** By trust domain: our own and those we federate with. */
export type X509Bundles = ReadonlyMap<TrustDomain, X509Bundle>;

/** Whole each time: what an update does not have is no longer to be used (section 4.4). */
export interface X509Context {
  /** At least one; the first is the default identity (section 8). Hints are unique. */
  readonly svids: readonly [X509Svid, ...X509Svid[]];
  /** Of the workload's own trust domains and of those it federates with. */
  readonly bundles: X509Bundles;
}
