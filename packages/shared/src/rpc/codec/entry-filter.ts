/** The filter of ListEntries and CountEntries. */
import type { Selector } from '../../registration/selector.js';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../../spiffe-id/trust-domain.js';
import type { _spire_api_server_entry_v1_ListEntriesRequest_Filter__Output as Filter } from '../gen/spire/api/server/entry/v1/ListEntriesRequest.js';
import { textFromProto } from './field.js';
import { MAX_HINT_BYTES } from './limits.js';
import { selectorFilterFromProto, trustDomainFilterFromProto, type SetFilter } from './selector.js';
import { spiffeIdFromProto } from './spiffe-id.js';

/** Every condition that is present must hold. */
interface EntryFilter {
  readonly spiffeId?: SpiffeId;
  readonly parentId?: SpiffeId;
  readonly selectors?: SetFilter<Selector>;
  readonly federatesWith?: SetFilter<TrustDomain>;
  readonly hint?: string;
  readonly isDownstream?: boolean;
}

/** @throws BonafideError `invalid_argument`. */
export function entryFilterFromProto(filter: Filter | null): EntryFilter {
  if (filter === null) return {};
  return {
    ...(filter.bySpiffeId && { spiffeId: spiffeIdFromProto(filter.bySpiffeId, 'by_spiffe_id') }),
    ...(filter.byParentId && { parentId: spiffeIdFromProto(filter.byParentId, 'by_parent_id') }),
    ...(filter.bySelectors && { selectors: selectorFilterFromProto(filter.bySelectors) }),
    ...(filter.byFederatesWith && { federatesWith: trustDomainFilterFromProto(filter.byFederatesWith) }),
    ...(filter.byHint && { hint: textFromProto('by_hint', filter.byHint.value, MAX_HINT_BYTES) }),
    // SPIRE's servers look for `true` alone, and its command line always sends the field.
    ...(filter.byDownstream?.value === true && { isDownstream: true }),
  };
}
