/** The filter of ListEntries and CountEntries, held to our own trust domain. */
import { entryFilterFromProto } from '@bonafide/shared/rpc/codec/entry-filter';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { EntryFilter } from '../../store/entry-record.js';
import { checkMember, checkWorkloadId } from './own-ids.js';

/** @throws BonafideError `invalid_argument`. */
export function ownEntryFilter(
  proto: Parameters<typeof entryFilterFromProto>[0],
  trustDomain: TrustDomain,
): EntryFilter {
  const { hint, ...filter } = entryFilterFromProto(proto);
  if (filter.parentId !== undefined) checkMember(trustDomain, filter.parentId);
  if (filter.spiffeId !== undefined) checkWorkloadId(trustDomain, filter.spiffeId);
  return { ...filter, hint: hint || undefined }; // an empty hint is no condition, as in SPIRE
}
