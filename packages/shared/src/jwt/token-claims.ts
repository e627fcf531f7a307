/** Claims and header parameters that JWT-SVIDs and WIT-SVIDs share, read as RFC 7519 section 4.1 defines them. */
import type { TokenAuthority } from '../bundle/trust-bundle.js';
import { isJwsAlgorithm, type JwsAlgorithm } from '../crypto/jws-algorithm.js';
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import { parseSpiffeId, pathOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { JsonObject } from './unique-json.js';

/** The longest key ID that is looked for. */
const MAX_KEY_ID_CHARACTERS = 1024;
/** Of the year 9999; beyond it lie numbers that no date has. */
const LAST_SECOND = 253_402_300_799;

/** RFC 7515 section 4.1.11: what is critical and not understood makes the token invalid; we understand no extension. */
export function refuseCriticalExtensions(header: JsonObject): void {
  if (Object.hasOwn(header, 'crit')) {
    throw invalidArgument('the token has critical header extensions, of which none is supported');
  }
}

/** JWT-SVID section 2.1: checked before anything is done with the token. */
export function readAlgorithm({ alg }: JsonObject): JwsAlgorithm {
  if (isJwsAlgorithm(alg)) return alg;
  throw invalidArgument(`the token's algorithm ${quote(alg)} is not one that SVIDs may have`);
}

/** Undefined when there is none. */
export function readKeyId({ kid }: JsonObject): string | undefined {
  if (kid === undefined) return undefined;
  if (typeof kid === 'string' && kid !== '' && kid.length <= MAX_KEY_ID_CHARACTERS) return kid;
  throw invalidArgument("the token's key ID is not text of a sensible length");
}

/** The SPIFFE ID of a workload: one without a path names the trust domain itself. */
export function readSubject({ sub }: JsonObject): SpiffeId {
  if (typeof sub !== 'string') throw invalidArgument('the token has no subject');
  const spiffeId = parseSpiffeId(sub);
  if (pathOf(spiffeId) === '') throw invalidArgument('the subject of the token has no path');
  return spiffeId;
}

export interface TokenTimes {
  readonly issuedAt: Date | undefined;
  readonly notBefore: Date | undefined;
  readonly expiresAt: Date;
}

/** @throws BonafideError `invalid_argument` when one of them is not a date, or there is no expiry. */
export function readTimes(claims: JsonObject): TokenTimes {
  const expiresAt = readDate(claims, 'exp');
  if (expiresAt === undefined) throw invalidArgument('the token has no expiry');
  return { issuedAt: readDate(claims, 'iat'), notBefore: readDate(claims, 'nbf'), expiresAt };
}

/**
 * @param leewaySeconds what clocks may be apart.
 * @throws BonafideError `unauthenticated`.
 */
export function checkTimes({ notBefore, expiresAt }: TokenTimes, now: Date, leewaySeconds: number): void {
  // Compared so that what is no number refuses the token.
  if (!isBefore(now, expiresAt, leewaySeconds)) {
    throw new BonafideError('unauthenticated', `the token has expired, at ${expiresAt.toISOString()}`);
  }
  if (notBefore !== undefined && !(now.getTime() >= notBefore.getTime() - leewaySeconds * 1000)) {
    throw new BonafideError(
      'unauthenticated',
      `the token is not valid before ${notBefore.toISOString()}; compare the clocks`,
    );
  }
}

/**
 * An authority signs nothing that outlives it, so a token that is shown later is not its work.
 * @throws BonafideError `unauthenticated`.
 */
export function checkAuthorityTime({ expiresAt }: TokenAuthority, now: Date, leewaySeconds: number): void {
  if (expiresAt === undefined || isBefore(now, expiresAt, leewaySeconds)) return;
  throw new BonafideError(
    'unauthenticated',
    `the key that signed the token has expired, at ${expiresAt.toISOString()}`,
  );
}

function isBefore(now: Date, end: Date, leewaySeconds: number): boolean {
  return now.getTime() < end.getTime() + leewaySeconds * 1000;
}

function readDate(claims: JsonObject, name: 'exp' | 'iat' | 'nbf'): Date | undefined {
  const seconds = claims[name];
  if (seconds === undefined) return undefined;
  if (typeof seconds !== 'number' || seconds < 0 || seconds > LAST_SECOND) {
    throw invalidArgument(`the token's ${JSON.stringify(name)} is not a number of seconds since 1970`);
  }
  return new Date(seconds * 1000);
}

/** @param value from outside, of any length. */
export function quote(value: unknown): string {
  return value === undefined ? 'undefined' : JSON.stringify(value).slice(0, 100);
}
