/** The filter of ListEntries and CountEntries, held to our own trust domain. */
import { entryFilterFromProto } from '@bonafide/shared/rpc/codec/entry-filter';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AccessScope } from '../../access/scope.js';
import type { EntryFilter } from '../../store/entry-record.js';
import { checkMember, checkWorkloadId } from './own-ids.js';

/** @param scope of the caller, beyond which nothing is found. @throws BonafideError `invalid_argument`. */
export function ownEntryFilter(
  proto: Parameters<typeof entryFilterFromProto>[0],
  trustDomain: TrustDomain,
  scope: AccessScope | undefined,
): EntryFilter {
  const { hint, ...filter } = entryFilterFromProto(proto);
  if (filter.parentId !== undefined) checkMember(trustDomain, filter.parentId);
  if (filter.spiffeId !== undefined) checkWorkloadId(trustDomain, filter.spiffeId);
  return { ...filter, hint: hint || undefined, under: scope?.readPrefixes }; // an empty hint is no condition, as in SPIRE
}
