/** Identities of the agent's cache in the form in which they are written. */
import { exportPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { trustDomainId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WorkloadBundles, WorkloadIdentity } from '../svid-cache/workload-identities.js';
import type { DeliveredIdentity } from './delivered-identity.js';

/** Undefined while the bundle of our own trust domain has not come. */
export function deliveredIdentity(
  { entry, svid }: WorkloadIdentity,
  { bundles, trustDomain }: WorkloadBundles,
): DeliveredIdentity | undefined {
  const authorities = (name: TrustDomain): readonly Buffer[] =>
    (bundles.get(name)?.x509Authorities ?? []).map(({ certificate }) => certificate);
  const bundle = authorities(trustDomain);
  if (bundle.length === 0) return undefined;
  return {
    spiffeId: svid.spiffeId,
    hint: entry.hint,
    certificateChain: svid.certificateChain,
    privateKey: exportPkcs8(svid.privateKey),
    notAfter: svid.notAfter,
    bundle,
    federatedBundles: [...entry.federatesWith]
      .sort()
      .filter((name) => bundles.has(name))
      .map((name) => [trustDomainId(name), authorities(name)] as const),
  };
}
