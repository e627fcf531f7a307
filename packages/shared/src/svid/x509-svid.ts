/** An X.509-SVID (X509-SVID section 2) with the key it certifies. */
import type { KeyObject } from 'node:crypto';
import type { SpiffeId } from '../spiffe-id/spiffe-id.js';

export interface X509Svid {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first, then intermediates; never the trust anchor. */
  readonly certificateChain: readonly Buffer[];
  readonly privateKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly hint: string | undefined;
}
