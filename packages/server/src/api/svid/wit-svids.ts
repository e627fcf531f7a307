/** WIT-SVIDs of spire.api.server.svid.v1.SVID: agents have those of their entries signed, operators mint them by hand. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { spiffeIdFromProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import { witSvidToProto } from '@bonafide/shared/rpc/codec/wit-svid';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext, callingAgent } from '../../access/call-context.js';
import { requireMint } from '../../access/privileged-ids.js';
import type { EntryReader } from '../../store/entry-record.js';
import type { AuditSubject } from '../../audit/audit-event.js';
import type { EntryGraph } from '../../entry-graph/entry-graph.js';
import type { WitSvidIssuer } from '../../issuance/wit-svid-request.js';
import { checkWorkloadId } from '../request/own-ids.js';
import { authorizedEntry, mintedTtl, signBatch, type BatchOptions } from './sign-batch.js';

export interface WitSvidsOptions extends BatchOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: EntryGraph;
  readonly entries: Pick<EntryReader, 'count'>;
  readonly issuer: WitSvidIssuer;
}

/** SPIRE's; an entry's own is the one it has for X.509-SVIDs. */
export const DEFAULT_WIT_SVID_TTL_SECONDS = 3600;

type WitSvidHandlers = Pick<Handlers<'spire.api.server.svid.v1.SVID'>, 'BatchNewWITSVID' | 'MintWITSVID'>;

export function createWitSvidHandlers(options: WitSvidsOptions): WitSvidHandlers {
  const { trustDomain, graph, issuer } = options;
  return {
    BatchNewWITSVID: unaryHandler(callContext, async ({ params }, _call, context) => {
      const { agentId } = callingAgent(context);
      const subjectOf = ({ entryId }: { readonly entryId: string }): AuditSubject => ({ entryId, agentId });
      const results = await signBatch(params, context, { ...options, subjectOf }, async (param) => {
        const { entryId, publicKey, signingAlgorithm } = param;
        if (publicKey.length === 0 && entryId !== '') throw invalidArgument('missing public key');
        const entry = authorizedEntry(graph, agentId, entryId);
        const svid = await issuer.issue({
          spiffeId: entry.spiffeId,
          publicKey,
          signingAlgorithm,
          ttlSeconds: entry.x509SvidTtlSeconds ?? DEFAULT_WIT_SVID_TTL_SECONDS,
        });
        context.audit.note({
          subject: { spiffeId: svid.spiffeId, entryId, agentId },
          svid: { type: 'wit', jti: svid.tokenId, expiresAt: svid.expiresAt },
        });
        context.log.debug(
          { entry_id: entryId, spiffe_id: svid.spiffeId, jti: svid.tokenId },
          'Signed WIT SVID',
        );
        return witSvidToProto(svid);
      });
      return { results };
    }),

    MintWITSVID: unaryHandler(callContext, async (request, _call, context) => {
      const { log, audit } = context;
      const { id, publicKey, signingAlgorithm, ttl } = request;
      const spiffeId = checkWorkloadId(trustDomain, spiffeIdFromProto(id, 'id'));
      if (publicKey.length === 0) throw invalidArgument('missing public key');
      const ttlSeconds = mintedTtl(ttl, DEFAULT_WIT_SVID_TTL_SECONDS);
      await requireMint({ kind: 'WIT', spiffeId, dnsNames: [], ttlSeconds }, options, context);
      const svid = await issuer.issue({ spiffeId, publicKey, signingAlgorithm, ttlSeconds });
      audit.note({
        subject: { spiffeId },
        svid: { type: 'wit', jti: svid.tokenId, expiresAt: svid.expiresAt },
      });
      log.info({ spiffe_id: spiffeId, jti: svid.tokenId }, 'Minted WIT SVID');
      return { svid: witSvidToProto(svid) };
    }),
  };
}
