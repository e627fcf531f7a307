/** What requests of the JWT-SVID and WIT-SVID profiles have in common. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WorkloadBundles } from '../svid-cache/workload-identities.js';

/** @param spiffeId of the one identity that is asked for; empty for all. */
export function requestedEntries(
  entries: readonly RegistrationEntry[],
  spiffeId: string,
): readonly RegistrationEntry[] {
  return spiffeId === '' ? entries : entries.filter((entry) => entry.spiffeId === spiffeId);
}

/** By trust domain ID and in its order, so that equal content is equal bytes. */
export function bundleTexts<Text>(
  { bundles }: WorkloadBundles,
  format: (bundle: TrustBundle) => Text,
): Record<string, Text> {
  const sorted = [...bundles].sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(sorted.map(([name, bundle]) => [trustDomainId(name), format(bundle)]));
}
