/** Verification of JWT-SVIDs by bundles that are held, without a call (JWT-SVID section 4). */
import { verifyJwtSvid as verify, type VerifiedJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import type { JwtBundles } from './workload-api/token-bundle.js';

/** Who verifies JWT-SVIDs. `JwtSource` and `BundleSource` are, and so is `{ bundles }` with what `watchJwtBundles` told. */
export interface JwtTrust {
  /** By trust domain: a token is verified by the keys of its own, and of no other. */
  readonly bundles: JwtBundles;
}

/** How strictly times are taken. */
export interface JwtVerifyOptions {
  /** By how much clocks may be apart, in seconds; 60 unless told. */
  readonly leewaySeconds?: number | undefined;
  /** Whose time counts; the system's unless told. */
  readonly clock?: Clock | undefined;
}

/**
 * @param audience as which this process is addressed; it must be among the token's.
 * @throws BonafideError `invalid_argument` for what is no JWT-SVID; `unauthenticated` for one that is not to be believed, or whose
 * trust domain there is no bundle of.
 * @example const { spiffeId } = await verifyJwtSvid(bundleSource, token, 'spiffe://example.org/billing');
 */
export function verifyJwtSvid(
  trust: JwtTrust,
  token: string,
  audience: string,
  { leewaySeconds, clock = systemClock }: JwtVerifyOptions = {},
): Promise<VerifiedJwtSvid> {
  const bundle = (name: Parameters<JwtBundles['get']>[0]): ReturnType<JwtBundles['get']> =>
    trust.bundles.get(name);
  return verify({ token, audience, bundle, now: clock.now(), leewaySeconds });
}
