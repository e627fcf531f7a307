/** A WIT-SVID (WIT-SVID sections 2 and 3) with the key of which it must be presented with a proof (section 4). */
import type { KeyObject } from 'node:crypto';
import type { SpiffeId } from '../spiffe-id/spiffe-id.js';

export interface WitSvid {
  readonly spiffeId: SpiffeId;
  /** JWS Compact Serialization. */
  readonly token: string;
  /** The private half of `cnf.jwk`. */
  readonly privateKey: KeyObject;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** Of the authority that signed it. */
  readonly keyId: string;
  readonly hint: string | undefined;
}
