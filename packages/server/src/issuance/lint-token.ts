/** The last look before a token is signed: what JWT-SVIDs (JWT-SVID sections 2 and 3) and WIT-SVIDs (WIT-SVID sections 2 and 3) have in common. */
import { jwsAlgorithmFor } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { pathOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TokenSigningAuthority } from '../authority/token-signing-authority.js';

/** What was asked for and by whom it will be signed; nothing of it comes from the token under inspection. */
export interface TokenExpectation {
  readonly spiffeId: SpiffeId;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  readonly authority: TokenSigningAuthority;
}

export type Requirement = (isRight: boolean, what: string) => void;

/** @throws BonafideError `internal`: whatever is wrong here is our own mistake, and must not be signed. */
export function requireOf(what: string): Requirement {
  return (isRight, fault) => {
    if (!isRight) throw new BonafideError('internal', `refusing to sign a ${what}: ${fault}`);
  };
}

/** Of 16 bytes, in base64url. */
const TOKEN_ID = /^[A-Za-z0-9_-]{22}$/;

export function isTokenId(value: unknown): boolean {
  return typeof value === 'string' && TOKEN_ID.test(value);
}

/** The header has nothing but `alg`, `kid` and `typ` (WIT-SVID section 2.4; JWT-SVID section 2). */
export function lintHeader(
  header: JsonObject,
  type: string,
  { keyId, signer }: TokenSigningAuthority,
  require: Requirement,
): void {
  require(hasExactly(header, ['alg', 'kid', 'typ']), 'it has other header parameters than it should');
  require(header['alg'] === jwsAlgorithmFor(signer.keyType), 'the algorithm is not that of the key');
  require(keyId !== '' && header['kid'] === keyId, 'the key ID is not that of the authority');
  require(header['typ'] === type, `the type is not ${type}`);
}

/** `sub`, `iat` and `exp`. */
export function lintSubjectAndTimes(
  claims: JsonObject,
  { spiffeId, issuedAt, expiresAt, authority }: TokenExpectation,
  require: Requirement,
): void {
  require(claims['sub'] === spiffeId, 'the subject is not the SPIFFE ID of the request');
  require(pathOf(spiffeId) !== '', 'the SPIFFE ID has no path');
  require(claims['iat'] === unixSeconds(issuedAt), 'it is not issued when it should be');
  require(claims['exp'] === unixSeconds(expiresAt), 'it does not end when it should');
  require(issuedAt < expiresAt, 'it ends before it begins');
  require(expiresAt <= authority.notAfter, 'it outlives its authority');
}

export function hasExactly(object: JsonObject, names: readonly string[]): boolean {
  return Object.keys(object).length === names.length && names.every((name) => Object.hasOwn(object, name));
}
