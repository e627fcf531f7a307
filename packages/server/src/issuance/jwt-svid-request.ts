/** What the rooms ask of the issuance of JWT-SVIDs: everything the token will say. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface JwtSvidRequest {
  readonly spiffeId: SpiffeId;
  /** At least one. */
  readonly audience: readonly string[];
  /** Seconds of life wanted; cut so that the SVID never outlives its authority. */
  readonly ttlSeconds: number;
  /** Whether it has an ID of its own (`jti`), by which an auditor can follow it. */
  readonly includesTokenId: boolean;
}

export interface IssuedJwtSvid {
  readonly spiffeId: SpiffeId;
  /** JWS Compact Serialization. A bearer token: it belongs into no log. */
  readonly token: string;
  /** `jti`, when it was asked for. */
  readonly tokenId: string | undefined;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export interface JwtSvidIssuer {
  /** @throws BonafideError `invalid_argument` for a bad audience; `unavailable` when no authority is active. */
  issue(request: JwtSvidRequest): Promise<IssuedJwtSvid>;
}
