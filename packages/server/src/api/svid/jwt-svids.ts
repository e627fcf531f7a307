/** JWT-SVIDs of spire.api.server.svid.v1.SVID: agents have those of their entries signed, operators mint them by hand. */
import { jwtSvidToProto } from '@bonafide/shared/rpc/codec/jwt-svid';
import { spiffeIdFromProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { callContext, callingAgent } from '../../access/call-context.js';
import type { RateLimits } from '../../access/rate-limits.js';
import { requireMint } from '../../access/privileged-ids.js';
import type { EntryReader } from '../../store/entry-record.js';
import type { NotedEvent } from '../../audit/call-audit.js';
import type { EntryGraph } from '../../entry-graph/entry-graph.js';
import type { IssuedJwtSvid, JwtSvidIssuer } from '../../issuance/jwt-svid-request.js';
import { checkWorkloadId } from '../request/own-ids.js';
import { authorizedEntry, mintedTtl } from './sign-batch.js';

export interface JwtSvidsOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: EntryGraph;
  readonly entries: Pick<EntryReader, 'count'>;
  readonly issuer: JwtSvidIssuer;
  readonly rateLimits: RateLimits;
  readonly defaultTtlSeconds: () => number;
}

type JwtSvidHandlers = Pick<Handlers<'spire.api.server.svid.v1.SVID'>, 'NewJWTSVID' | 'MintJWTSVID'>;

export function createJwtSvidHandlers(options: JwtSvidsOptions): JwtSvidHandlers {
  const { trustDomain, graph, issuer, rateLimits, defaultTtlSeconds } = options;
  return {
    NewJWTSVID: unaryHandler(callContext, async ({ entryId, audience }, _call, context) => {
      const { agentId } = callingAgent(context);
      await rateLimits.take('signing', context.peer, 1, context.signal);
      const entry = authorizedEntry(graph, agentId, entryId);
      const svid = await issuer.issue({
        spiffeId: entry.spiffeId,
        audience,
        ttlSeconds: entry.jwtSvidTtlSeconds ?? defaultTtlSeconds(),
        includesTokenId: entry.includesJwtSvidJti,
      });
      const subject = { spiffeId: svid.spiffeId, entryId, agentId };
      context.audit.note({ subject, ...told(svid, audience) });
      context.log.debug({ entry_id: entryId, ...logged(svid, audience) }, 'Signed JWT SVID');
      return { svid: jwtSvidToProto(svid) };
    }),

    MintJWTSVID: unaryHandler(callContext, async ({ id, audience, ttl }, _call, context) => {
      const { log, audit } = context;
      const spiffeId = checkWorkloadId(trustDomain, spiffeIdFromProto(id, 'id'));
      const ttlSeconds = mintedTtl(ttl, defaultTtlSeconds());
      await requireMint({ kind: 'JWT', spiffeId, dnsNames: [], ttlSeconds }, options, context);
      const svid = await issuer.issue({ spiffeId, audience, ttlSeconds, includesTokenId: false });
      audit.note({ subject: { spiffeId }, ...told(svid, audience) });
      log.info(logged(svid, audience), 'Minted JWT SVID');
      return { svid: jwtSvidToProto(svid) };
    }),
  };
}

function told({ tokenId, expiresAt }: IssuedJwtSvid, audience: readonly string[]): NotedEvent {
  return { svid: { type: 'jwt', jti: tokenId, expiresAt }, details: { audience } };
}

/** Not the token: whoever reads it in a log could use it. */
function logged({ spiffeId, tokenId, expiresAt }: IssuedJwtSvid, audience: readonly string[]): object {
  return { spiffe_id: spiffeId, audience, jti: tokenId, expires_at: unixSeconds(expiresAt) };
}
