/** From the Workload API's messages to JWT-SVIDs and JWT bundles (SPIFFE Workload API section 6); a malformed message is refused whole. */
import { readAudience } from '@bonafide/shared/jwt/verify-jwt-svid';
import { parseCompactJws } from '@bonafide/shared/jwt/compact-jws';
import { readKeyId, readSubject, readTimes } from '@bonafide/shared/jwt/token-claims';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import type { JWTBundlesResponse__Output } from '@bonafide/shared/rpc/gen/JWTBundlesResponse';
import type { JWTSVID__Output } from '@bonafide/shared/rpc/gen/JWTSVID';
import type { JWTSVIDResponse__Output } from '@bonafide/shared/rpc/gen/JWTSVIDResponse';
import type { ValidateJWTSVIDResponse__Output } from '@bonafide/shared/rpc/gen/ValidateJWTSVIDResponse';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import type { JwtSvid } from '@bonafide/shared/svid/jwt-svid';
import { malformedAnswer } from './malformed-answer.js';
import { readJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { readStruct } from './read-struct.js';
import type { JwtBundle, JwtBundles } from './token-bundle.js';
import { withUniqueHints } from './unique-hints.js';

/** At least one; the first is the default identity. Hints are unique. */
export type JwtSvids = readonly [JwtSvid, ...JwtSvid[]];

/** What ValidateJWTSVID says of a token that it accepts. */
export interface ValidatedJwtSvid {
  readonly spiffeId: SpiffeId;
  /** All of the token's, or those that the Workload API lets through. */
  readonly claims: JsonObject;
}

/** @param now stands in for `iat`, which a token may lack. @throws BonafideError `internal` naming the field. */
export function readJwtSvids(response: JWTSVIDResponse__Output, now: Date): JwtSvids {
  const [first, ...rest] = response.svids.map((message, index) => {
    try {
      return readSvid(message, now);
    } catch (error) {
      throw malformedAnswer(`svids[${index}]`, error);
    }
  });
  if (first === undefined) throw malformedAnswer('svids', 'is empty');
  return [first, ...withUniqueHints(first, rest)];
}

/** @throws BonafideError `internal` naming the trust domain. */
export function readJwtBundles(response: JWTBundlesResponse__Output): JwtBundles {
  const bundles = Object.entries(response.bundles).map(([id, bytes]): JwtBundle => {
    try {
      return { trustDomain: parseTrustDomainOrId(id), jwtAuthorities: readJwkSet(bytes, 'jwt-svid') };
    } catch (error) {
      throw malformedAnswer(`bundle of ${JSON.stringify(id)}`, error);
    }
  });
  if (bundles.length === 0) throw malformedAnswer('bundles', 'is empty');
  return new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
}

/** @throws BonafideError `internal` naming the field. */
export function readValidatedJwtSvid(response: ValidateJWTSVIDResponse__Output): ValidatedJwtSvid {
  if (response.claims === null) throw malformedAnswer('claims', 'is missing');
  try {
    return { spiffeId: parseSpiffeId(response.spiffeId), claims: readStruct(response.claims) };
  } catch (error) {
    throw malformedAnswer('spiffe_id or claims', error);
  }
}

/** The agent has verified the token; here it is only read, for its times. */
function readSvid(message: JWTSVID__Output, now: Date): JwtSvid {
  const { header, payload } = parseCompactJws(message.svid);
  const spiffeId = readSubject(payload);
  if (spiffeId !== message.spiffeId) {
    throw malformedAnswer(
      'spiffe_id',
      `is ${JSON.stringify(message.spiffeId)}, but the token is of ${spiffeId}`,
    );
  }
  const { issuedAt = now, expiresAt } = readTimes(payload);
  return {
    spiffeId,
    token: message.svid,
    audience: readAudience(payload),
    issuedAt,
    expiresAt,
    keyId: readKeyId(header) ?? '',
    hint: message.hint === '' ? undefined : message.hint,
  };
}
