/** A JWT-SVID (JWT-SVID sections 2 and 3) as it is handed out, with what its claims say. */
import type { SpiffeId } from '../spiffe-id/spiffe-id.js';

export interface JwtSvid {
  readonly spiffeId: SpiffeId;
  /** JWS Compact Serialization. A bearer token: whoever has it is taken for the workload. */
  readonly token: string;
  /** At least one, as they were asked for. */
  readonly audience: readonly string[];
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** Of the authority that signed it. */
  readonly keyId: string;
  readonly hint: string | undefined;
}
