/** Verifies JWT-SVIDs (JWT-SVID section 4 and appendix A; SPIFFE Workload API section 6.3): every MUST of a validator. */
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import { trustDomainOf, type SpiffeId } from '../spiffe-id/spiffe-id.js';
import type { TrustDomain } from '../spiffe-id/trust-domain.js';
import { parseCompactJws } from './compact-jws.js';
import {
  quote,
  readAlgorithm,
  readKeyId,
  readSubject,
  readTimes,
  refuseCriticalExtensions,
} from './token-claims.js';
import type { JsonObject } from './unique-json.js';
import { verifyToken } from './verify-signature.js';

/** What clocks may be apart unless the verifier says otherwise. */
export const DEFAULT_LEEWAY_SECONDS = 60;
const MAX_AUDIENCES = 100;

export interface JwtSvidVerification {
  readonly token: string;
  /** As which the verifier is addressed; it must be among the token's. */
  readonly audience: string;
  /** Undefined for a trust domain that is not trusted. */
  readonly bundle: (
    trustDomain: TrustDomain,
  ) => Pick<TrustBundle, 'trustDomain' | 'jwtAuthorities'> | undefined;
  readonly now: Date;
  readonly leewaySeconds?: number | undefined;
}

export interface VerifiedJwtSvid {
  readonly spiffeId: SpiffeId;
  readonly audience: readonly string[];
  readonly issuedAt: Date | undefined;
  readonly expiresAt: Date;
  /** Of the authority that signed it. */
  readonly keyId: string;
  /** All of them, the ones above included. */
  readonly claims: JsonObject;
}

/** @throws BonafideError `invalid_argument` for what is no JWT-SVID; `unauthenticated` for one that is not to be believed. */
export async function verifyJwtSvid(verification: JwtSvidVerification): Promise<VerifiedJwtSvid> {
  const { token, audience, bundle, now, leewaySeconds = DEFAULT_LEEWAY_SECONDS } = verification;
  if (audience === '') throw invalidArgument('the audience to verify for is empty');
  const jws = parseCompactJws(token);
  const { header, payload: claims } = jws;
  const algorithm = readAlgorithm(header);
  refuseCriticalExtensions(header);
  checkHeaderNames(header);
  const { typ } = header;
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') {
    throw invalidArgument(`the token's type ${quote(typ)} is neither JWT nor JOSE`);
  }
  const spiffeId = readSubject(claims);
  const audiences = readAudience(claims);
  const times = readTimes(claims);

  const authority = await verifyToken({
    ...{ jws, algorithm, spiffeId, times, now, leewaySeconds },
    keyId: readKeyId(header),
    authorities: bundle(trustDomainOf(spiffeId))?.jwtAuthorities,
  });
  if (!audiences.includes(audience)) {
    throw new BonafideError('unauthenticated', `the token is not for the audience ${quote(audience)}`);
  }
  const { issuedAt, expiresAt } = times;
  return { spiffeId, audience: audiences, issuedAt, expiresAt, keyId: authority.keyId, claims };
}

const HEADER_NAMES: ReadonlySet<string> = new Set(['alg', 'kid', 'typ']);

/** Section 2: any other header parameter must not be there. */
function checkHeaderNames(header: JsonObject): void {
  const name = Object.keys(header).find((candidate) => !HEADER_NAMES.has(candidate));
  if (name === undefined) return;
  throw invalidArgument(`the token has the header parameter ${quote(name)}; a JWT-SVID has alg, kid and typ`);
}

/** Section 3.2 with RFC 7519 section 4.1.3: a text, or an array of texts. */
export function readAudience({ aud }: JsonObject): readonly string[] {
  const values: unknown = typeof aud === 'string' ? [aud] : aud;
  if (!Array.isArray(values) || values.length === 0) throw invalidArgument('the token has no audience');
  if (values.length > MAX_AUDIENCES)
    throw invalidArgument(`the token has more than ${MAX_AUDIENCES} audiences`);
  return values.map((value: unknown) => {
    if (typeof value === 'string' && value !== '') return value;
    throw invalidArgument("the token's audience is not text");
  });
}
