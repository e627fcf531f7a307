/** One registration entry as a row, and back. */
import type {
  RegistrationEntry,
  RegistrationEntryContent,
} from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { EntryTerms } from '../entry-record.js';
import type { EntryRow } from './schema.js';
import { decodeList, decodeSelectors, encodeList, encodeSelectors } from './sets.js';
import { dateOrUndefined, flag, millisecondsOrNull } from './values.js';

export function contentColumns(
  content: RegistrationEntryContent,
): Omit<EntryRow, 'id' | 'revision_number' | 'created_at'> {
  const selectors = encodeSelectors(content.selectors);
  const federatesWith = [...new Set(content.federatesWith)].sort();
  return {
    spiffe_id: content.spiffeId,
    parent_id: content.parentId,
    selectors,
    selector_count: decodeSelectors(selectors).length,
    x509_svid_ttl_seconds: content.x509SvidTtlSeconds ?? null,
    jwt_svid_ttl_seconds: content.jwtSvidTtlSeconds ?? null,
    federates_with: encodeList(federatesWith),
    federation_count: federatesWith.length,
    is_admin: flag(content.isAdmin),
    is_downstream: flag(content.isDownstream),
    expires_at: millisecondsOrNull(content.expiresAt),
    dns_names: encodeList(content.dnsNames),
    stores_svid: flag(content.storesSvid),
    hint: content.hint ?? null,
    disables_x509_svid_prefetch: flag(content.disablesX509SvidPrefetch),
    includes_jwt_svid_jti: flag(content.includesJwtSvidJti),
  };
}

export type TermColumns = Pick<
  EntryRow,
  | 'selectors'
  | 'x509_svid_ttl_seconds'
  | 'jwt_svid_ttl_seconds'
  | 'federates_with'
  | 'is_admin'
  | 'is_downstream'
  | 'dns_names'
  | 'stores_svid'
  | 'hint'
  | 'disables_x509_svid_prefetch'
  | 'includes_jwt_svid_jti'
>;

/** What is in the table was checked when it came in; it is not parsed again. */
export function entryFromRow(row: EntryRow): RegistrationEntry {
  return {
    id: row.id,
    spiffeId: row.spiffe_id as SpiffeId,
    parentId: row.parent_id as SpiffeId,
    ...termsFromRow(row),
    expiresAt: dateOrUndefined(row.expires_at),
    revisionNumber: row.revision_number,
    createdAt: new Date(row.created_at),
  };
}

export function termsFromRow(row: TermColumns): EntryTerms {
  return {
    selectors: decodeSelectors(row.selectors),
    x509SvidTtlSeconds: row.x509_svid_ttl_seconds ?? undefined,
    jwtSvidTtlSeconds: row.jwt_svid_ttl_seconds ?? undefined,
    federatesWith: decodeList(row.federates_with) as readonly TrustDomain[],
    isAdmin: row.is_admin === 1,
    isDownstream: row.is_downstream === 1,
    dnsNames: decodeList(row.dns_names),
    storesSvid: row.stores_svid === 1,
    hint: row.hint ?? undefined,
    disablesX509SvidPrefetch: row.disables_x509_svid_prefetch === 1,
    includesJwtSvidJti: row.includes_jwt_svid_jti === 1,
  };
}
