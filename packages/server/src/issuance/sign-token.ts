/** Signs one token: its times within those of the authority, its header, and a last look at the very bytes that are signed. */
import { jwsAlgorithmFor, signJws } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { encodeCompactJws, parseSigningInput } from '@bonafide/shared/jwt/compact-jws';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { addSeconds, dateFromUnixSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import type { TokenSigningAuthority } from '../authority/token-signing-authority.js';

export interface TokenTimes {
  /** Whole seconds, both of them. */
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

/**
 * Nothing outlives its authority.
 * @throws BonafideError `invalid_argument` for a time to live of less than a second; `unavailable` when the authority has expired.
 */
export function tokenTimes(authority: TokenSigningAuthority, ttlSeconds: number, now: Date): TokenTimes {
  if (!Number.isFinite(ttlSeconds) || ttlSeconds < 1) {
    throw invalidArgument('the time to live must be at least 1 second');
  }
  const issuedAt = dateFromUnixSeconds(unixSeconds(now));
  const wanted = addSeconds(issuedAt, Math.floor(ttlSeconds));
  const latest = dateFromUnixSeconds(unixSeconds(authority.notAfter));
  const expiresAt = wanted < latest ? wanted : latest;
  if (expiresAt <= now) throw new BonafideError('unavailable', 'the signing authority has expired');
  return { issuedAt, expiresAt };
}

export interface TokenToSign {
  readonly authority: TokenSigningAuthority;
  readonly type: string;
  readonly claims: JsonObject;
  /** Given what a verifier will read. @throws BonafideError `internal`: then nothing is signed. */
  readonly lint: (header: JsonObject, claims: JsonObject) => void;
}

/** @returns the token in JWS Compact Serialization. */
export function signToken({ authority, type, claims, lint }: TokenToSign): Promise<string> {
  const header = { alg: jwsAlgorithmFor(authority.signer.keyType), kid: authority.keyId, typ: type };
  return encodeCompactJws(header, claims, (signingInput) => {
    const read = parseSigningInput(signingInput);
    lint(read.header, read.payload);
    return signJws(authority.signer, signingInput);
  });
}
