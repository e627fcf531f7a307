/** The JWT-SVID profile (SPIFFE Workload API section 6). */
import { formatJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { verifyJwtSvid, type VerifiedJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import type { JsonObject } from '@bonafide/shared/jwt/unique-json';
import { structToProto } from '@bonafide/shared/rpc/codec/struct';
import type { JWTSVIDRequest__Output } from '@bonafide/shared/rpc/gen/JWTSVIDRequest';
import type { JWTSVIDResponse } from '@bonafide/shared/rpc/gen/JWTSVIDResponse';
import type { ValidateJWTSVIDRequest__Output } from '@bonafide/shared/rpc/gen/ValidateJWTSVIDRequest';
import type { ValidateJWTSVIDResponse } from '@bonafide/shared/rpc/gen/ValidateJWTSVIDResponse';
import { loadService } from '@bonafide/shared/rpc/load-service';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { WorkloadIdentities } from '../svid-cache/workload-identities.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import { createBundleStream } from './bundle-stream.js';
import { checkAudiences, grantedJwtSvids } from './granted-jwt-svids.js';
import { bundleTexts, requestedEntries } from './token-requests.js';
import { uniqueHints } from './unique-hints.js';
import type { WorkloadApiPolicy } from './workload-api.js';
import type { Handler, WorkloadCalls } from './workload-calls.js';

interface JwtProfileOptions {
  readonly identities: WorkloadIdentities;
  readonly jwtSvids: Pick<JwtSvids, 'fetch'>;
  readonly policy: WorkloadApiPolicy;
  readonly clock: Clock;
  readonly log: Logger;
}

type Methods = Record<'FetchJWTBundles' | 'FetchJWTSVID' | 'ValidateJWTSVID', Handler>;

const { definition } = loadService('SpiffeWorkloadAPI');
/** Section 6.2.3: what SPIFFE itself defines. */
const SPIFFE_CLAIMS: readonly string[] = ['sub', 'exp', 'aud'];

export function createJwtProfile(
  calls: WorkloadCalls,
  { identities, jwtSvids, policy, clock, log }: JwtProfileOptions,
): Methods {
  return {
    FetchJWTSVID: calls.unary<JWTSVIDRequest__Output, JWTSVIDResponse>(
      checkFetch,
      async ({ audience, spiffeId }, caller) => {
        const answered = await grantedJwtSvids(jwtSvids, audience, () =>
          requestedEntries(identities.matching(caller.selectors).entries, spiffeId),
        );
        if (answered.length === 0) throw caller.noIdentity();
        const hints = uniqueHints(
          answered.map(({ entry }) => entry),
          log,
        );
        return {
          svids: answered.map(({ svid }, index) => ({
            spiffeId: svid.spiffeId,
            svid: svid.token,
            hint: hints[index] ?? '',
          })),
        };
      },
    ),
    FetchJWTBundles: calls.stream(
      createBundleStream({ identities, policy }, (update) =>
        definition.FetchJWTBundles.responseSerialize({
          bundles: bundleTexts(update, (bundle) => Buffer.from(formatJwkSet(bundle.jwtAuthorities))),
        }),
      ),
    ),
    ValidateJWTSVID: calls.unary<ValidateJWTSVIDRequest__Output, ValidateJWTSVIDResponse>(
      checkValidation,
      async ({ audience, svid: token }, { selectors }) => {
        const { bundles, trustDomain } = identities.matching(selectors);
        const verified = await validated({
          token,
          audience,
          bundle: (name) => bundles.get(name),
          now: clock.now(),
        });
        const isForeign = trustDomainOf(verified.spiffeId) !== trustDomain;
        const shown = isForeign ? [...SPIFFE_CLAIMS, ...policy.allowedForeignJwtClaims] : undefined;
        return { spiffeId: verified.spiffeId, claims: structToProto(shownClaims(verified, shown)) };
      },
    ),
  };
}

function checkFetch({ audience, spiffeId }: JWTSVIDRequest__Output): void {
  checkAudiences(audience);
  if (spiffeId !== '') parseSpiffeId(spiffeId);
}

function checkValidation({ audience, svid }: ValidateJWTSVIDRequest__Output): void {
  if (audience === '') throw invalidArgument('audience must be specified');
  if (svid === '') throw invalidArgument('svid must be specified');
}

/** Whatever is wrong with the token is wrong with the request: the caller itself is known. */
async function validated(verification: Parameters<typeof verifyJwtSvid>[0]): Promise<VerifiedJwtSvid> {
  try {
    return await verifyJwtSvid(verification);
  } catch (error) {
    throw hasReason(error, 'unauthenticated') ? invalidArgument(error.message, error) : error;
  }
}

/** @param names undefined: all of them. */
function shownClaims(
  { claims, audience }: VerifiedJwtSvid,
  names: readonly string[] | undefined,
): JsonObject {
  // A list, as SPIRE gives it, also where the token has the one audience as text (RFC 7519 section 4.1.3).
  const all: JsonObject = { ...claims, aud: audience };
  if (names === undefined) return all;
  return Object.fromEntries(Object.entries(all).filter(([name]) => names.includes(name)));
}
