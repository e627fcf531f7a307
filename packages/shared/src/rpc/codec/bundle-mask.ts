/** Field masks of bundles: which fields are read or written. */
import type { BundleMask__Output } from '../gen/spire/api/types/BundleMask.js';

export type BundleMask = Readonly<BundleMask__Output>;

const ALL_BUNDLE_FIELDS: BundleMask = {
  x509Authorities: true,
  jwtAuthorities: true,
  refreshHint: true,
  sequenceNumber: true,
  witAuthorities: true,
};

/** A request without a mask means every field. */
export function bundleMaskFromProto(mask: BundleMask__Output | null | undefined): BundleMask {
  return mask ?? ALL_BUNDLE_FIELDS;
}
