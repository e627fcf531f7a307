/** What the server says the agent is entitled to, as the cache takes it in: all of it, or what changed. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export type AuthorizedChange = AuthorizedSnapshot | AuthorizedDelta;

/** Everything; what is not in it is gone. */
export interface AuthorizedSnapshot {
  readonly kind: 'snapshot';
  readonly entries: readonly RegistrationEntry[];
  readonly bundles: readonly TrustBundle[];
}

interface AuthorizedDelta {
  readonly kind: 'delta';
  readonly upsertedEntries: readonly RegistrationEntry[];
  readonly removedEntryIds: readonly string[];
  readonly upsertedBundles: readonly TrustBundle[];
  readonly removedBundleTrustDomains: readonly TrustDomain[];
}
