/** Trust domain names (SPIFFE-ID section 2.1): lower-case letters, digits, dots, dashes and underscores, at most 255 bytes. */
import { invalidArgument } from '../errors/bonafide-error.js';

declare const trustDomainBrand: unique symbol;

/** The bare name, for example `example.org`; a value of this type has been checked. */
export type TrustDomain = string & { readonly [trustDomainBrand]: true };

const MAX_TRUST_DOMAIN_BYTES = 255;

/** @throws BonafideError `invalid_argument` naming the character or length that is wrong. */
export function parseTrustDomain(text: string): TrustDomain {
  if (text.length === 0) throw invalidArgument('trust domain is empty; expected a name such as example.org');
  if (text.length > MAX_TRUST_DOMAIN_BYTES) {
    throw invalidArgument(`trust domain is longer than ${MAX_TRUST_DOMAIN_BYTES} bytes`);
  }
  const bad = /[^a-z0-9._-]/.exec(text);
  if (bad !== null) {
    throw invalidArgument(
      `trust domain has ${quoteCharacter(bad[0])} at position ${bad.index}; only lower-case letters, digits, dots, dashes and underscores are accepted`,
    );
  }
  return text as TrustDomain;
}

/** Accepts a bare name or a SPIFFE ID without a path, as SPIRE's commands and messages do. */
export function parseTrustDomainOrId(text: string): TrustDomain {
  return parseTrustDomain(text.startsWith('spiffe://') ? text.slice('spiffe://'.length) : text);
}

/** Printable, so that a hostile byte cannot disturb a terminal or a log. */
export function quoteCharacter(character: string): string {
  return /[\x21-\x7e]/.test(character)
    ? `'${character}'`
    : `character U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}
