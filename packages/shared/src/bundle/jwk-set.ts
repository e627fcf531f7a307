/** JWK Sets (RFC 7517 section 5), as the Workload API, bundle files and clouds have them: the keys of one issuer for one kind of token. */
import { jwkToSpki, spkiToJwk } from '../crypto/json-web-key.js';
import { invalidArgument } from '../errors/bonafide-error.js';
import { isJsonObject, parseUniqueJsonObject, type JsonObject } from '../jwt/unique-json.js';
import type { TokenAuthority } from './trust-bundle.js';

const MAX_KEYS = 4096;
const MAX_KEY_ID_CHARACTERS = 1024;

/**
 * A key says for what it is only if it wants to; one that is for something else is passed over, as are unknown types.
 * @throws BonafideError `invalid_argument` for what is no JWK Set, a known key that is malformed, or a key ID that comes twice.
 */
export function readJwkSet(
  bytes: Uint8Array,
  use: 'jwt-svid' | 'wit-svid' | 'sig',
): readonly TokenAuthority[] {
  const { keys } = parseUniqueJsonObject(bytes, 'JWK Set');
  if (!Array.isArray(keys)) throw invalidArgument('the JWK Set has no "keys"');
  if (keys.length > MAX_KEYS) throw invalidArgument(`the JWK Set has more than ${MAX_KEYS} keys`);
  const authorities = keys.flatMap((key: unknown) => {
    if (!isJsonObject(key)) throw invalidArgument('a key of the JWK Set is not an object');
    return key['use'] === undefined || key['use'] === use ? readTokenKey(key) : [];
  });
  if (new Set(authorities.map(({ keyId }) => keyId)).size < authorities.length) {
    throw invalidArgument('the JWK Set has two keys with one key ID');
  }
  return authorities;
}

/**
 * Of the keys that sign one kind of token, as the Workload API hands them out. Without `use`: the values that SPIFFE has for it are
 * unknown to other software, which would pass the keys over.
 */
export function formatJwkSet(authorities: readonly TokenAuthority[]): string {
  return JSON.stringify({
    keys: authorities.map(({ keyId, publicKey }) => ({ ...spkiToJwk(publicKey), kid: keyId })),
  });
}

/**
 * JWT-SVID section 6.1, WIT-SVID section 6.1: a key without `kid` is not usable.
 * @returns nothing for a key of unknown type. @throws BonafideError `invalid_argument` for a known one that is malformed.
 */
export function readTokenKey(key: JsonObject): readonly TokenAuthority[] {
  const publicKey = jwkToSpki(key);
  if (publicKey === undefined) return [];
  const { kid } = key;
  if (typeof kid !== 'string' || kid === '' || kid.length > MAX_KEY_ID_CHARACTERS) {
    throw invalidArgument('the key has no usable "kid"');
  }
  return [{ publicKey, keyId: kid, expiresAt: undefined, isTainted: false }];
}
