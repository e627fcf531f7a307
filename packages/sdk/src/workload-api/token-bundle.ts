/** The keys by which JWT-SVIDs or WIT-SVIDs of one trust domain are verified, and of no other (SPIFFE Workload API sections 6.2.2, 7.2.2). */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

/** For JWT-SVIDs alone. */
export interface JwtBundle {
  readonly trustDomain: TrustDomain;
  readonly jwtAuthorities: readonly TokenAuthority[];
}

/** By trust domain: our own and those we federate with. */
export type JwtBundles = ReadonlyMap<TrustDomain, JwtBundle>;

/** For WIT-SVIDs alone. */
export interface WitBundle {
  readonly trustDomain: TrustDomain;
  readonly witAuthorities: readonly TokenAuthority[];
}

/** By trust domain: our own and those we federate with. */
export type WitBundles = ReadonlyMap<TrustDomain, WitBundle>;
