/** SPIFFE bundles as JSON (SPIFFE Trust Domain and Bundle section 4): a JWK Set with a sequence number and a refresh hint. */
import { isKnownKeyType, spkiToJwk } from '../crypto/json-web-key.js';
import { decodeBase64 } from '../crypto/pem.js';
import { importSubjectPublicKeySync } from '../crypto/subject-public-key.js';
import { parseX509Certificate } from '../crypto/x509-certificate.js';
import { BonafideError, errorMessage, invalidArgument } from '../errors/bonafide-error.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import { isJsonObject, parseUniqueJsonText, type JsonObject } from '../jwt/unique-json.js';
import { withoutRepeats } from './bundle-pem.js';
import { readTokenKey } from './jwk-set.js';
import type { TokenAuthority, TrustBundle, X509Authority } from './trust-bundle.js';

const MAX_BUNDLE_DOCUMENT_CHARACTERS = 4 * 1024 * 1024;
const MAX_BUNDLE_KEYS = 4096;

/**
 * Keys of unknown type or use are ignored, as section 4.2 asks; a key that is known and malformed is not.
 * @throws BonafideError `invalid_argument` naming the member or the key that is wrong.
 */
export function parseBundleDocument(trustDomain: TrustDomain, text: string): TrustBundle {
  if (text.length > MAX_BUNDLE_DOCUMENT_CHARACTERS) {
    throw invalidArgument(`bundle document is longer than ${MAX_BUNDLE_DOCUMENT_CHARACTERS} characters`);
  }
  const document = parseUniqueJsonText(text, 'bundle document');
  const { keys } = document;
  if (!Array.isArray(keys)) throw invalidArgument('bundle document has no "keys" array');
  if (keys.length > MAX_BUNDLE_KEYS)
    throw invalidArgument(`bundle document has more than ${MAX_BUNDLE_KEYS} keys`);
  const x509Authorities: X509Authority[] = [];
  const jwtAuthorities: TokenAuthority[] = [];
  const witAuthorities: TokenAuthority[] = [];
  keys.forEach((key: unknown, index) => {
    if (!isJsonObject(key)) throw invalidArgument(`key ${index} of the bundle document is not an object`);
    try {
      if (key['use'] === 'x509-svid') x509Authorities.push(...readX509Key(key));
      else if (key['use'] === 'jwt-svid') jwtAuthorities.push(...readTokenKey(key));
      else if (key['use'] === 'wit-svid') witAuthorities.push(...readTokenKey(key));
    } catch (error) {
      if (!(error instanceof BonafideError)) throw error;
      throw invalidArgument(`key ${index} of the bundle document: ${errorMessage(error)}`, error);
    }
  });
  checkKeyIds([...jwtAuthorities, ...witAuthorities]);
  return {
    trustDomain,
    x509Authorities: withoutRepeats(x509Authorities),
    jwtAuthorities,
    witAuthorities,
    refreshHintSeconds: readWholeNumber(document, 'spiffe_refresh_hint'),
    sequenceNumber: readWholeNumber(document, 'spiffe_sequence') ?? 0,
  };
}

/** Indented, with a trailing newline. */
export function formatBundleDocument(bundle: TrustBundle): string {
  const keys = [
    ...bundle.x509Authorities.map(({ certificate }) => ({
      ...spkiToJwk(parseX509Certificate(certificate).subjectPublicKey.spki),
      use: 'x509-svid',
      x5c: [certificate.toString('base64')],
    })),
    ...bundle.jwtAuthorities.map((authority) => formatTokenKey(authority, 'jwt-svid')),
    ...bundle.witAuthorities.map((authority) => formatTokenKey(authority, 'wit-svid')),
  ];
  const hint = bundle.refreshHintSeconds;
  const document = {
    keys,
    ...(bundle.sequenceNumber === 0 ? {} : { spiffe_sequence: bundle.sequenceNumber }),
    ...(hint === undefined ? {} : { spiffe_refresh_hint: hint }),
  };
  return `${JSON.stringify(document, undefined, 4)}\n`;
}

/** X509-SVID section 6.2: without `x5c` the key is ignored; of several certificates the first counts. */
function readX509Key({ kty, x5c }: JsonObject): readonly X509Authority[] {
  if (!isKnownKeyType(kty) || !Array.isArray(x5c) || x5c.length === 0) return [];
  const first: unknown = x5c[0];
  if (typeof first !== 'string') throw invalidArgument('"x5c" does not hold text');
  const certificate = decodeBase64(first, '"x5c"');
  importSubjectPublicKeySync(parseX509Certificate(certificate).subjectPublicKey);
  return [{ certificate, isTainted: false }];
}

/** A key ID names one key, whatever it signs. */
function checkKeyIds(authorities: readonly TokenAuthority[]): void {
  const seen = new Set<string>();
  for (const { keyId } of authorities) {
    if (seen.has(keyId))
      throw invalidArgument(`bundle document has the key ID ${JSON.stringify(keyId)} twice`);
    seen.add(keyId);
  }
}

function formatTokenKey(authority: TokenAuthority, use: string): JsonObject {
  return { ...spkiToJwk(authority.publicKey), use, kid: authority.keyId };
}

function readWholeNumber(document: JsonObject, member: string): number | undefined {
  const value = document[member];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw invalidArgument(`"${member}" of the bundle document is not a whole number`);
  }
  return value;
}
