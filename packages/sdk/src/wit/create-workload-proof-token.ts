/** Makes Workload Proof Tokens, which prove possession of a WIT-SVID's key (draft-ietf-wimse-wpt-01 section 2). */
import { randomBytes } from 'node:crypto';
import { signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { encodeCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { systemClock, unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import { confirmationAlgorithmOf } from './confirmation-algorithm.js';
import { DEFAULT_LIFETIME_SECONDS } from './proof-limits.js';
import { tokenHash } from './token-hash.js';

export const WPT_TYPE = 'wpt+jwt';

/** Tokens that go with the request and to which the proof is bound; each that is there must be named. */
export interface BoundTokens {
  /** The OAuth access token of the Authorization header, without its scheme. */
  readonly accessToken?: string | undefined;
  /** The value of the Txn-Token header. */
  readonly transactionToken?: string | undefined;
  /** Values of further headers that carry tokens, by lower-case name. */
  readonly otherTokens?: Readonly<Record<string, string>> | undefined;
}

export interface WorkloadProofOptions extends BoundTokens {
  /** The request's URI without query and fragment, or what the recipient agreed to be called. */
  readonly audience: string;
  /** 60 unless told. */
  readonly lifetimeSeconds?: number | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * @returns the value of the Workload-Proof-Token header; the SVID's token goes into Workload-Identity-Token, never into Authorization
 * (WIT-SVID section 5). For one request.
 * @throws BonafideError `failed_precondition` when the SVID has expired; `invalid_argument` for an empty audience or lifetime.
 */
export async function createWorkloadProofToken(
  svid: WitSvid,
  options: WorkloadProofOptions,
): Promise<string> {
  const { audience, lifetimeSeconds = DEFAULT_LIFETIME_SECONDS, clock = systemClock } = options;
  if (audience === '') throw invalidArgument('the audience of a proof is empty');
  if (!(lifetimeSeconds > 0)) throw invalidArgument('the lifetime of a proof must be more than 0 seconds');
  const now = clock.now();
  const algorithm = confirmationAlgorithmOf(svid, now);
  const { accessToken, transactionToken, otherTokens = {} } = options;
  const others = Object.entries(otherTokens).map(([name, value]) => [
    name.toLowerCase(),
    tokenHash(value.trim()),
  ]);
  const claims = {
    aud: audience,
    exp: unixSeconds(now) + Math.ceil(lifetimeSeconds),
    jti: randomBytes(16).toString('base64url'),
    wth: tokenHash(svid.token),
    ...(accessToken !== undefined && { ath: tokenHash(accessToken) }),
    ...(transactionToken !== undefined && { tth: tokenHash(transactionToken) }),
    ...(others.length > 0 && { oth: Object.fromEntries(others) as Record<string, string> }),
  };
  return encodeCompactJws({ alg: algorithm, typ: WPT_TYPE }, claims, (data) =>
    signJwsAs(algorithm, svid.privateKey, data),
  );
}
