/** What a registration entry may say; the rules are SPIRE's, so that what one server took the other takes. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseDnsName } from '@bonafide/shared/registration/dns-name';
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import { createSelector } from '@bonafide/shared/registration/selector';
import {
  isReserved,
  parseSpiffeId,
  pathOf,
  trustDomainOf,
  type SpiffeId,
} from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

const MAX_ENTRY_ID_LENGTH = 255;
export const MAX_HINT_BYTES = 1024;
/** Of selectors, of DNS names and of federated trust domains: what keeps the largest entry inside one message. */
export const MAX_LIST_LENGTH = 1000;
const MAX_TTL_SECONDS = 2 ** 31 - 1;

/** @throws BonafideError `invalid_argument` naming the field and what would be accepted. */
export function validateEntryId(id: string): void {
  if (id === '') throw invalidArgument('entry id is empty; leave it out to have one made');
  if (id.length > MAX_ENTRY_ID_LENGTH) {
    throw invalidArgument(`entry id is longer than ${MAX_ENTRY_ID_LENGTH} characters`);
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(id)) {
    throw invalidArgument('entry id may have only letters, digits, dots, dashes and underscores');
  }
}

/** @throws BonafideError `invalid_argument` naming the field and what would be accepted. */
export function validateEntry(content: RegistrationEntryContent, trustDomain: TrustDomain): void {
  within('parent id', () => {
    validateMember(content.parentId, trustDomain);
  });
  within('SPIFFE id', () => {
    validateMember(content.spiffeId, trustDomain);
    if (isReserved(content.spiffeId))
      throw invalidArgument('paths under /spire are kept for servers and agents');
  });
  validateSelectors(content);
  validateTtl('X.509-SVID', content.x509SvidTtlSeconds);
  validateTtl('JWT-SVID', content.jwtSvidTtlSeconds);
  validateList('DNS names', content.dnsNames, parseDnsName);
  validateList('federated trust domains', content.federatesWith, parseTrustDomain);
  if (content.hint !== undefined && Buffer.byteLength(content.hint) > MAX_HINT_BYTES) {
    throw invalidArgument(`hint is longer than ${MAX_HINT_BYTES} bytes`);
  }
  if (content.expiresAt !== undefined && !Number.isFinite(content.expiresAt.getTime())) {
    throw invalidArgument('expiry is not a time');
  }
}

function validateMember(id: SpiffeId, trustDomain: TrustDomain): void {
  parseSpiffeId(id);
  if (trustDomainOf(id) !== trustDomain) {
    throw invalidArgument(`${id} is not a member of trust domain ${trustDomain}`);
  }
  if (pathOf(id) === '') throw invalidArgument(`${id} has no path`);
}

function validateSelectors(content: RegistrationEntryContent): void {
  const { selectors, storesSvid, disablesX509SvidPrefetch } = content;
  const [first] = selectors;
  if (first === undefined) throw invalidArgument('entry has no selectors; expected at least one');
  if (selectors.length > MAX_LIST_LENGTH) {
    throw invalidArgument(`entry has ${selectors.length} selectors; at most ${MAX_LIST_LENGTH} are accepted`);
  }
  for (const { type, value } of selectors) createSelector(type, value);
  if (!storesSvid) return;
  // One type names the one place where an agent stores the SVID.
  if (selectors.some((selector) => selector.type !== first.type)) {
    throw invalidArgument('selectors of an entry that stores its SVID must all be of one type');
  }
  if (disablesX509SvidPrefetch) {
    throw invalidArgument('an entry that stores its SVID cannot disable the prefetch of its X.509-SVID');
  }
}

function validateTtl(what: string, seconds: number | undefined): void {
  if (seconds === undefined) return;
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_TTL_SECONDS) {
    throw invalidArgument(
      `${what} time to live is ${seconds}; expected whole seconds from 1 to ${MAX_TTL_SECONDS}, or none for the server's default`,
    );
  }
}

function validateList(what: string, items: readonly string[], validate: (item: string) => unknown): void {
  if (items.length > MAX_LIST_LENGTH) {
    throw invalidArgument(`entry has ${items.length} ${what}; at most ${MAX_LIST_LENGTH} are accepted`);
  }
  const seen = new Set<string>();
  for (const item of items) {
    validate(item);
    if (seen.has(item)) throw invalidArgument(`entry has ${JSON.stringify(item)} twice among its ${what}`);
    seen.add(item);
  }
}

function within(field: string, validate: () => void): void {
  try {
    validate();
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw invalidArgument(`${field}: ${error.message}`, error);
  }
}
