/** Verifies Workload Proof Tokens (draft-ietf-wimse-wpt-01 section 2): every check of the recipient, replay included. */
import { verifyJws } from '@bonafide/shared/crypto/jws-algorithm';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { checkTimes, quote, readTimes, refuseCriticalExtensions } from '@bonafide/shared/jwt/token-claims';
import { isJsonObject, type JsonObject } from '@bonafide/shared/jwt/unique-json';
import { DEFAULT_LEEWAY_SECONDS } from '@bonafide/shared/jwt/verify-jwt-svid';
import type { VerifiedWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { addSeconds } from '@bonafide/shared/runtime/clock';
import { WPT_TYPE, type BoundTokens } from './create-workload-proof-token.js';
import { DEFAULT_MAX_LIFETIME_SECONDS, MAX_PROOF_ID_CHARACTERS, type ProofLimits } from './proof-limits.js';
import type { ProofUse } from './replay-store.js';
import { tokenHash } from './token-hash.js';

/** The token, and what it has to fit. */
export interface WorkloadProofVerification extends BoundTokens, ProofLimits {
  /** The value of the Workload-Proof-Token header. */
  readonly token: string;
  /** The token that the proof belongs to, as it came, */
  readonly witToken: string;
  /** and what `verifyWitSvid` made of it. */
  readonly wit: VerifiedWitSvid;
  /** As what we may be addressed; from configuration, not from the request's Host header (section 3.1). */
  readonly audiences: readonly string[];
  readonly now: Date;
}

/** What a proof token says, once it is believed. */
export interface VerifiedWorkloadProof {
  readonly audience: string;
  readonly expiresAt: Date;
  /** To be claimed at a `ReplayStore`, when everything else about the request has been found right. */
  readonly use: ProofUse;
}

/** @throws BonafideError `invalid_argument` for what is no proof token; `unauthenticated` for one that proves nothing here. */
export async function verifyWorkloadProofToken(
  verification: WorkloadProofVerification,
): Promise<VerifiedWorkloadProof> {
  const { token, wit, now, leewaySeconds = DEFAULT_LEEWAY_SECONDS } = verification;
  const { header, payload: claims, signingInput, signature } = parseCompactJws(token);
  refuseCriticalExtensions(header);
  checkType(header);
  const { confirmationAlgorithm: algorithm, confirmationKey: publicKey } = wit;
  if (header['alg'] !== algorithm) {
    throw invalidArgument(`the proof is signed with ${quote(header['alg'])}; its WIT-SVID says ${algorithm}`);
  }
  const audience = readText(claims, 'aud');
  const id = readText(claims, 'jti');
  const times = readTimes(claims);
  if (!(await verifyJws({ algorithm, publicKey, data: signingInput, signature }))) {
    throw new BonafideError('unauthenticated', 'the proof is not signed with the key of its WIT-SVID');
  }
  checkTimes(times, now, leewaySeconds);
  const { maxLifetimeSeconds = DEFAULT_MAX_LIFETIME_SECONDS } = verification;
  if (!(times.expiresAt <= addSeconds(now, maxLifetimeSeconds + leewaySeconds))) {
    throw new BonafideError(
      'unauthenticated',
      `the proof lives too long, until ${times.expiresAt.toISOString()}; at most ${maxLifetimeSeconds} s are accepted; compare the clocks`,
    );
  }
  if (!verification.audiences.includes(audience)) {
    throw new BonafideError('unauthenticated', `the proof is for ${quote(audience)}, which is not us`);
  }
  checkHash(claims, 'wth', verification.witToken);
  checkHash(claims, 'ath', verification.accessToken);
  checkHash(claims, 'tth', verification.transactionToken);
  checkOtherTokens(claims, verification.otherTokens ?? {});
  const until = addSeconds(times.expiresAt, leewaySeconds);
  return { audience, expiresAt: times.expiresAt, use: { sender: wit.spiffeId, id: `wpt ${id}`, until } };
}

/** RFC 7515 section 4.1.9: media types compare without case, and `application/` may be left out. */
function checkType({ typ }: JsonObject): void {
  if (typeof typ === 'string' && typ.length < 100) {
    const type = typ.toLowerCase();
    if (type === WPT_TYPE || type === `application/${WPT_TYPE}`) return;
  }
  throw invalidArgument(`the proof's type ${quote(typ)} is not ${WPT_TYPE}`);
}

function readText(claims: JsonObject, name: 'aud' | 'jti'): string {
  const value = claims[name];
  const longest = name === 'jti' ? MAX_PROOF_ID_CHARACTERS : 8192;
  if (typeof value === 'string' && value !== '' && value.length <= longest) return value;
  throw invalidArgument(`the proof's ${JSON.stringify(name)} is missing or not text of a sensible length`);
}

/** @param token undefined when there is none in the request, and then the claim must not be there either. */
function checkHash(claims: JsonObject, name: 'wth' | 'ath' | 'tth', token: string | undefined): void {
  if (token === undefined ? !Object.hasOwn(claims, name) : claims[name] === tokenHash(token)) return;
  const problem =
    token === undefined
      ? 'is of a token that did not come with the request'
      : 'is missing or of another token';
  throw new BonafideError('unauthenticated', `the proof's ${JSON.stringify(name)} ${problem}`);
}

/** Section 2: each token that came must be in the proof, and the proof must name none that we cannot check. */
function checkOtherTokens({ oth = {} }: JsonObject, tokens: Readonly<Record<string, string>>): void {
  if (!isJsonObject(oth)) throw invalidArgument('the proof\'s "oth" is not an object');
  for (const name of new Set([...Object.keys(oth), ...Object.keys(tokens)])) {
    const token = Object.hasOwn(tokens, name) ? tokens[name] : undefined;
    if (token === undefined || !Object.hasOwn(oth, name) || oth[name] !== tokenHash(token.trim())) {
      throw new BonafideError(
        'unauthenticated',
        `the proof does not fit the header ${quote(name)} of the request`,
      );
    }
  }
}
