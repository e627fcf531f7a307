/** SPIFFE IDs and trust domain names on the wire. */
import { pathOf, spiffeIdFromParts, trustDomainOf, type SpiffeId } from '../../spiffe-id/spiffe-id.js';
import { parseTrustDomainOrId, type TrustDomain } from '../../spiffe-id/trust-domain.js';
import type { SPIFFEID__Output } from '../gen/spire/api/types/SPIFFEID.js';
import { inField, listFromProto, requireField } from './field.js';
import { MAX_FEDERATED_TRUST_DOMAINS } from './limits.js';

/** @param field for the message, for example `parent_id`. @throws BonafideError `invalid_argument`, also when the ID is missing. */
export function spiffeIdFromProto(id: SPIFFEID__Output | null | undefined, field: string): SpiffeId {
  const { trustDomain, path } = requireField(field, id);
  return inField(field, () => spiffeIdFromParts(trustDomain, path));
}

export function spiffeIdToProto(id: SpiffeId): { readonly trustDomain: TrustDomain; readonly path: string } {
  return { trustDomain: trustDomainOf(id), path: pathOf(id) };
}

/** Bare names or SPIFFE IDs without a path; sorted, without repeats. */
export function trustDomainsFromProto(names: readonly string[], field: string): readonly TrustDomain[] {
  const parsed = listFromProto(field, names, MAX_FEDERATED_TRUST_DOMAINS, parseTrustDomainOrId);
  return [...new Set(parsed)].sort();
}
