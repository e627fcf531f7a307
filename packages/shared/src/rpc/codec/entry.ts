/** Registration entries on the wire. */
import { invalidArgument } from '../../errors/bonafide-error.js';
import type { RegistrationEntry, RegistrationEntryContent } from '../../registration/registration-entry.js';
import type { Selector } from '../../registration/selector.js';
import { unixSeconds } from '../../runtime/clock.js';
import type { Entry, Entry__Output } from '../gen/spire/api/types/Entry.js';
import { entryMaskFromProto, type EntryMask } from './entry-mask.js';
import {
  countFromProto,
  dateFromProto,
  inField,
  listFromProto,
  secondsFromProto,
  textFromProto,
} from './field.js';
import { MAX_DNS_NAMES, MAX_DNS_NAME_BYTES, MAX_HINT_BYTES } from './limits.js';
import { selectorsFromProto, selectorsToProto } from './selector.js';
import { spiffeIdFromProto, spiffeIdToProto, trustDomainsFromProto } from './spiffe-id.js';

/** As SPIRE's: also good in a URL, a file name and a log line. */
const ENTRY_ID = /^[-.\w]{1,255}$/;

/** @throws BonafideError `invalid_argument`. */
export function entryIdFromProto(id: string, field = 'id'): string {
  if (!ENTRY_ID.test(id)) {
    throw invalidArgument(
      `${field}: is no entry id; expected 1 to 255 letters, digits, dots, dashes and underscores`,
    );
  }
  return id;
}

/** What an operator asks for, whole; id, revision and time of creation are not read. @throws BonafideError `invalid_argument`. */
export function entryContentFromProto(entry: Entry__Output): RegistrationEntryContent {
  return {
    spiffeId: spiffeIdFromProto(entry.spiffeId, 'spiffe_id'),
    parentId: spiffeIdFromProto(entry.parentId, 'parent_id'),
    selectors: entrySelectorsFromProto(entry),
    x509SvidTtlSeconds: secondsFromProto('x509_svid_ttl', entry.x509SvidTtl),
    jwtSvidTtlSeconds: secondsFromProto('jwt_svid_ttl', entry.jwtSvidTtl),
    federatesWith: trustDomainsFromProto(entry.federatesWith, 'federates_with'),
    isAdmin: entry.admin,
    isDownstream: entry.downstream,
    expiresAt: dateFromProto('expires_at', entry.expiresAt),
    dnsNames: dnsNamesFromProto(entry),
    storesSvid: entry.storeSvid,
    hint: hintFromProto(entry),
    ...additionalAttributesFromProto(entry),
  };
}

interface EntryUpdate {
  readonly id: string;
  /** Only what is to be written. */
  readonly content: Partial<RegistrationEntryContent>;
}

/** What an operator changes: the masked fields, of which none needs the others. @throws BonafideError `invalid_argument`. */
export function entryUpdateFromProto(entry: Entry__Output, mask: EntryMask): EntryUpdate {
  return {
    id: entryIdFromProto(entry.id),
    content: {
      ...(mask.spiffeId && { spiffeId: spiffeIdFromProto(entry.spiffeId, 'spiffe_id') }),
      ...(mask.parentId && { parentId: spiffeIdFromProto(entry.parentId, 'parent_id') }),
      ...(mask.selectors && { selectors: entrySelectorsFromProto(entry) }),
      ...(mask.x509SvidTtl && {
        x509SvidTtlSeconds: secondsFromProto('x509_svid_ttl', entry.x509SvidTtl),
      }),
      ...(mask.jwtSvidTtl && { jwtSvidTtlSeconds: secondsFromProto('jwt_svid_ttl', entry.jwtSvidTtl) }),
      ...(mask.federatesWith && {
        federatesWith: trustDomainsFromProto(entry.federatesWith, 'federates_with'),
      }),
      ...(mask.admin && { isAdmin: entry.admin }),
      ...(mask.downstream && { isDownstream: entry.downstream }),
      ...(mask.expiresAt && { expiresAt: dateFromProto('expires_at', entry.expiresAt) }),
      ...(mask.dnsNames && { dnsNames: dnsNamesFromProto(entry) }),
      ...(mask.storeSvid && { storesSvid: entry.storeSvid }),
      ...(mask.hint && { hint: hintFromProto(entry) }),
      ...(mask.additionalAttributes && additionalAttributesFromProto(entry)),
    },
  };
}

/** A stored entry, as a server sends it. @throws BonafideError `invalid_argument`. */
export function entryFromProto(entry: Entry__Output): RegistrationEntry {
  const id = entryIdFromProto(entry.id);
  return inField(`entry ${id}`, () => ({
    id,
    ...entryContentFromProto(entry),
    revisionNumber: countFromProto('revision_number', entry.revisionNumber),
    createdAt: dateFromProto('created_at', entry.createdAt) ?? new Date(0),
  }));
}

/** @param mask every field when absent; the id is always there. */
export function entryToProto(entry: RegistrationEntry, mask: EntryMask | null = null): Entry {
  const shows = entryMaskFromProto(mask);
  const { disablesX509SvidPrefetch, includesJwtSvidJti } = entry;
  const hasAttributes = disablesX509SvidPrefetch || includesJwtSvidJti;
  return {
    id: entry.id,
    ...(shows.spiffeId && { spiffeId: spiffeIdToProto(entry.spiffeId) }),
    ...(shows.parentId && { parentId: spiffeIdToProto(entry.parentId) }),
    ...(shows.selectors && { selectors: selectorsToProto(entry.selectors) }),
    ...(shows.x509SvidTtl && { x509SvidTtl: entry.x509SvidTtlSeconds ?? 0 }),
    ...(shows.federatesWith && { federatesWith: [...entry.federatesWith] }),
    ...(shows.admin && { admin: entry.isAdmin }),
    ...(shows.downstream && { downstream: entry.isDownstream }),
    ...(shows.expiresAt && { expiresAt: entry.expiresAt === undefined ? 0 : unixSeconds(entry.expiresAt) }),
    ...(shows.dnsNames && { dnsNames: [...entry.dnsNames] }),
    ...(shows.revisionNumber && { revisionNumber: entry.revisionNumber }),
    ...(shows.storeSvid && { storeSvid: entry.storesSvid }),
    ...(shows.jwtSvidTtl && { jwtSvidTtl: entry.jwtSvidTtlSeconds ?? 0 }),
    ...(shows.hint && { hint: entry.hint ?? '' }),
    ...(shows.createdAt && { createdAt: unixSeconds(entry.createdAt) }),
    ...(shows.additionalAttributes &&
      hasAttributes && {
        additionalAttributes: {
          disableX509SvidPrefetch: disablesX509SvidPrefetch,
          jwtSvidIncludeJti: includesJwtSvidJti,
        },
      }),
  };
}

function entrySelectorsFromProto(entry: Entry__Output): readonly Selector[] {
  const selectors = selectorsFromProto(entry.selectors);
  if (selectors.length === 0) throw invalidArgument('selectors: is empty; at least one is needed');
  return selectors;
}

/** Their order counts: the first one becomes the common name. */
function dnsNamesFromProto(entry: Entry__Output): readonly string[] {
  return listFromProto('dns_names', entry.dnsNames, MAX_DNS_NAMES, (name) =>
    textFromProto('DNS name', name, MAX_DNS_NAME_BYTES),
  );
}

function hintFromProto(entry: Entry__Output): string | undefined {
  return textFromProto('hint', entry.hint, MAX_HINT_BYTES) || undefined;
}

function additionalAttributesFromProto({
  additionalAttributes,
}: Entry__Output): Pick<RegistrationEntryContent, 'disablesX509SvidPrefetch' | 'includesJwtSvidJti'> {
  return {
    disablesX509SvidPrefetch: additionalAttributes?.disableX509SvidPrefetch ?? false,
    includesJwtSvidJti: additionalAttributes?.jwtSvidIncludeJti ?? false,
  };
}
