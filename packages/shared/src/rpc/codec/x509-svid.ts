/** X.509-SVIDs on the wire, without their keys. */
import { unixSeconds } from '../../runtime/clock.js';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.js';
import type { X509SVID } from '../gen/spire/api/types/X509SVID.js';
import { spiffeIdToProto } from './spiffe-id.js';

interface SentX509Svid {
  readonly spiffeId: SpiffeId;
  /** DER, leaf first. */
  readonly certificateChain: readonly Buffer[];
  readonly notAfter: Date;
  readonly hint?: string | undefined;
}

export function x509SvidToProto({ spiffeId, certificateChain, notAfter, hint = '' }: SentX509Svid): X509SVID {
  return {
    id: spiffeIdToProto(spiffeId),
    certChain: [...certificateChain],
    expiresAt: unixSeconds(notAfter),
    hint,
  };
}
