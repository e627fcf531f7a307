/** Public keys as JSON Web Keys (RFC 7517, RFC 7518 section 6), to and from SubjectPublicKeyInfo. */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { invalidArgument } from '../errors/bonafide-error.js';
import { exportSpki, importSpki } from './private-key-encoding.js';

/** The members that make up an EC or RSA public key. */
export type PublicJwk =
  | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
  | { readonly kty: 'RSA'; readonly n: string; readonly e: string };

const CURVES: ReadonlySet<unknown> = new Set(['P-256', 'P-384', 'P-521']);

/** Consumers must ignore keys of other types (SPIFFE Trust Domain and Bundle section 4.2.1). */
export function isKnownKeyType(kty: unknown): boolean {
  return kty === 'EC' || kty === 'RSA';
}

/** @param spki DER. @throws BonafideError `invalid_argument` when it is neither EC nor RSA. */
export function spkiToJwk(spki: Buffer): PublicJwk {
  return keyToJwk(importSpki(spki));
}

/** @param key public. @throws BonafideError `invalid_argument` when it is neither EC nor RSA. */
export function keyToJwk(key: KeyObject): PublicJwk {
  const { kty, crv, x, y, n, e } = key.export({ format: 'jwk' });
  if (kty === 'EC' && crv !== undefined && x !== undefined && y !== undefined) return { kty, crv, x, y };
  if (kty === 'RSA' && n !== undefined && e !== undefined) return { kty, n, e };
  throw invalidArgument('a public key must be EC or RSA');
}

/**
 * @param jwk an object from outside; members that do not belong to the key are passed over.
 * @returns SPKI, DER; undefined for a key type or curve that is not known, which consumers must ignore.
 * @throws BonafideError `invalid_argument` for a known type whose numbers are malformed.
 */
export function jwkToSpki(jwk: Readonly<Record<string, unknown>>): Buffer | undefined {
  const key = readMembers(jwk);
  if (key === undefined) return undefined;
  try {
    return exportSpki(createPublicKey({ key, format: 'jwk' }));
  } catch (cause) {
    throw invalidArgument(`the numbers of the ${key.kty} key are malformed`, cause);
  }
}

function readMembers(jwk: Readonly<Record<string, unknown>>): PublicJwk | undefined {
  const { kty, crv } = jwk;
  if (kty === 'RSA') return { kty, n: base64Url(jwk, 'n'), e: base64Url(jwk, 'e') };
  if (kty === 'EC' && typeof crv === 'string' && CURVES.has(crv)) {
    return { kty, crv, x: base64Url(jwk, 'x'), y: base64Url(jwk, 'y') };
  }
  return undefined;
}

function base64Url(jwk: Readonly<Record<string, unknown>>, member: string): string {
  const value = jwk[member];
  if (typeof value !== 'string' || !/^[A-Za-z0-9_-]{1,4096}$/.test(value)) {
    throw invalidArgument(`the member ${JSON.stringify(member)} of the key is not base64url`);
  }
  return value;
}
