/** WIT-SVIDs on the wire between agent, operator and server. */
import { unixSeconds } from '../../runtime/clock.js';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.js';
import type { WITSVID } from '../gen/spire/api/types/WITSVID.js';
import { spiffeIdToProto } from './spiffe-id.js';

interface SentWitSvid {
  readonly spiffeId: SpiffeId;
  readonly token: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export function witSvidToProto({ spiffeId, token, issuedAt, expiresAt }: SentWitSvid): WITSVID {
  return {
    token,
    id: spiffeIdToProto(spiffeId),
    expiresAt: unixSeconds(expiresAt),
    issuedAt: unixSeconds(issuedAt),
  };
}
