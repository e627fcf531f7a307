/** Field masks of federation relationships: which fields are read or written. */
import type { FederationRelationshipMask__Output } from '../gen/spire/api/types/FederationRelationshipMask.js';

export type FederationMask = Readonly<FederationRelationshipMask__Output>;

const ALL_FEDERATION_FIELDS: FederationMask = {
  bundleEndpointUrl: true,
  bundleEndpointProfile: true,
  trustDomainBundle: true,
};

/** A request without a mask means every field. */
export function federationMaskFromProto(
  mask: FederationRelationshipMask__Output | null | undefined,
): FederationMask {
  return mask ?? ALL_FEDERATION_FIELDS;
}
