/** Field masks of entries: which fields are read or written. */
import type { EntryMask__Output } from '../gen/spire/api/types/EntryMask.js';

export type EntryMask = Readonly<EntryMask__Output>;

const ALL_ENTRY_FIELDS: EntryMask = {
  spiffeId: true,
  parentId: true,
  selectors: true,
  x509SvidTtl: true,
  federatesWith: true,
  admin: true,
  downstream: true,
  expiresAt: true,
  dnsNames: true,
  revisionNumber: true,
  storeSvid: true,
  jwtSvidTtl: true,
  hint: true,
  createdAt: true,
  additionalAttributes: true,
};

/** A request without a mask means every field. */
export function entryMaskFromProto(mask: EntryMask__Output | null | undefined): EntryMask {
  return mask ?? ALL_ENTRY_FIELDS;
}
