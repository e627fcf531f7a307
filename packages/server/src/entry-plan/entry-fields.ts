/** The fields of an entry by which two of them differ, by their names in spire.api.types.Entry. */
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { formatSelector } from '@bonafide/shared/registration/selector';

const FIELDS: readonly (readonly [string, (content: RegistrationEntryContent) => unknown])[] = [
  ['spiffe_id', ({ spiffeId }) => spiffeId],
  ['parent_id', ({ parentId }) => parentId],
  ['selectors', ({ selectors }) => sorted(selectors.map(formatSelector))],
  ['x509_svid_ttl', ({ x509SvidTtlSeconds }) => x509SvidTtlSeconds ?? 0],
  ['jwt_svid_ttl', ({ jwtSvidTtlSeconds }) => jwtSvidTtlSeconds ?? 0],
  ['federates_with', ({ federatesWith }) => sorted(federatesWith)],
  ['admin', ({ isAdmin }) => isAdmin],
  ['downstream', ({ isDownstream }) => isDownstream],
  ['expires_at', ({ expiresAt }) => expiresAt?.getTime() ?? 0],
  // The first one is the common name, so their order counts.
  ['dns_names', ({ dnsNames }) => dnsNames],
  ['store_svid', ({ storesSvid }) => storesSvid],
  ['hint', ({ hint }) => hint ?? ''],
  [
    'additional_attributes',
    ({ disablesX509SvidPrefetch, includesJwtSvidJti }) => [disablesX509SvidPrefetch, includesJwtSvidJti],
  ],
];

/** Equal texts for equal contents. */
export function contentText(content: RegistrationEntryContent): string {
  return JSON.stringify(FIELDS.map(([, valueOf]) => valueOf(content)));
}

export function differingFields(
  before: RegistrationEntryContent,
  after: RegistrationEntryContent,
): readonly string[] {
  return FIELDS.filter(
    ([, valueOf]) => JSON.stringify(valueOf(before)) !== JSON.stringify(valueOf(after)),
  ).map(([name]) => name);
}

/** SPIRE calls entries similar that have the same SPIFFE ID, parent ID and selectors; equal texts for those. */
export function similarityText({ spiffeId, parentId, selectors }: RegistrationEntryContent): string {
  return JSON.stringify([spiffeId, parentId, ...sorted(selectors.map(formatSelector))]);
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].sort();
}
