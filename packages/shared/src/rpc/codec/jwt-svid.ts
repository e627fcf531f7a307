/** JWT-SVIDs on the wire between agent, operator and server. */
import { unixSeconds } from '../../runtime/clock.js';
import type { SpiffeId } from '../../spiffe-id/spiffe-id.js';
import type { JWTSVID } from '../gen/spire/api/types/JWTSVID.js';
import { spiffeIdToProto } from './spiffe-id.js';

interface SentJwtSvid {
  readonly spiffeId: SpiffeId;
  readonly token: string;
  readonly issuedAt: Date;
  readonly expiresAt: Date;
}

export function jwtSvidToProto({ spiffeId, token, issuedAt, expiresAt }: SentJwtSvid): JWTSVID {
  return {
    token,
    id: spiffeIdToProto(spiffeId),
    expiresAt: unixSeconds(expiresAt),
    issuedAt: unixSeconds(issuedAt),
  };
}
