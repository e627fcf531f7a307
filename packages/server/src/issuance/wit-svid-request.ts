/** What the rooms ask of the issuance of WIT-SVIDs: everything the token will say, and the key that it is bound to. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface WitSvidRequest {
  readonly spiffeId: SpiffeId;
  /** SubjectPublicKeyInfo, DER, from outside. */
  readonly publicKey: Buffer;
  /** From outside: the algorithm with which the holder will prove that it has the key. */
  readonly signingAlgorithm: string;
  /** Seconds of life wanted; cut so that the SVID never outlives its authority. */
  readonly ttlSeconds: number;
}

export interface IssuedWitSvid {
  readonly spiffeId: SpiffeId;
  /** JWS Compact Serialization. */
  readonly token: string;
  /** `jti`. */
  readonly tokenId: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export interface WitSvidIssuer {
  /** @throws BonafideError `invalid_argument` for a bad key or algorithm; `unavailable` when no authority is active. */
  issue(request: WitSvidRequest): Promise<IssuedWitSvid>;
}
