/** spire.api.server.agent.v1.Agent: nodes attest and renew, operators look after them. */
import { hash } from 'node:crypto';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { agentToProto } from '@bonafide/shared/rpc/codec/agent';
import { spiffeIdFromProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import { x509SvidToProto } from '@bonafide/shared/rpc/codec/x509-svid';
import type { SPIFFEID__Output } from '@bonafide/shared/rpc/gen/spire/api/types/SPIFFEID';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { sendRevisions } from '@bonafide/shared/rpc/revision-header';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { callContext, callingAgent } from '../access/call-context.js';
import type { RateLimits } from '../access/rate-limits.js';
import type { AgentAttestationOptions } from '../node-attestation/attest-agent.js';
import type { AttestedAgents } from '../node-attestation/attested-agents.js';
import { createJoinToken } from '../node-attestation/create-join-token.js';
import { nodeFilterFromProto } from './request/agent-filter.js';
import { attestAgentHandler } from './attest-agent.js';
import { checkAgentId, checkWorkloadId } from './request/own-ids.js';
import { pageFromProto } from './request/page.js';

export interface AgentApiOptions extends AgentAttestationOptions {
  readonly agents: AttestedAgents;
  readonly rateLimits: RateLimits;
}

export function createAgentHandlers(options: AgentApiOptions): Handlers<'spire.api.server.agent.v1.Agent'> {
  const { agents, rateLimits, store, trustDomain } = options;
  const agentIdFromProto = (id: SPIFFEID__Output | null): SpiffeId =>
    checkAgentId(trustDomain, spiffeIdFromProto(id, 'id'));

  return {
    AttestAgent: attestAgentHandler(options),

    RenewAgent: unaryHandler(callContext, async ({ params }, _call, context) => {
      await rateLimits.take('signing', context.peer, 1, context.signal);
      if (params === null) throw invalidArgument('params cannot be nil');
      if (params.csr.length === 0) throw invalidArgument('missing CSR');
      const { agentId } = callingAgent(context);
      const svid = await agents.renew(agentId, params.csr);
      context.audit.note({
        subject: { agentId, spiffeId: agentId },
        svid: { type: 'x509', serialNumber: svid.serialNumber, expiresAt: svid.notAfter },
      });
      context.log.info({ agent_id: agentId, serial_number: svid.serialNumber }, 'Renewing agent SVID');
      return { svid: x509SvidToProto(svid) };
    }),

    PostStatus: unaryHandler(callContext, async ({ agentVersion }, _call, context) => {
      await rateLimits.take('status', context.peer, 1, context.signal);
      const { agentId } = callingAgent(context);
      if (agentVersion !== '') await agents.recordVersion(agentId, agentVersion);
      context.audit.note({ subject: { agentId }, details: { agent_version: agentVersion } });
      return {};
    }),

    CreateJoinToken: unaryHandler(callContext, async ({ ttl, token, agentId }, _call, { log, audit }) => {
      const aliasId =
        agentId === null ? undefined : checkWorkloadId(trustDomain, spiffeIdFromProto(agentId, 'agent_id'));
      const created = await createJoinToken({ ttlSeconds: ttl, token: token || undefined, aliasId }, options);
      audit.note({
        subject: { spiffeId: aliasId, tokenHash: hash('sha256', created.token, 'hex') },
        details: { expires_at: created.expiresAt.toISOString() },
      });
      log.info({ alias_id: aliasId, expires_at: created.expiresAt }, 'Join token created');
      return { value: created.token, expiresAt: unixSeconds(created.expiresAt) };
    }),

    CountAgents: unaryHandler(callContext, async ({ filter }, _call, { scope }) => ({
      count: await store.nodes.count(nodeFilterFromProto(filter, scope)),
    })),

    ListAgents: unaryHandler(callContext, async (request, _call, { scope }) => {
      const page = await store.nodes.list(nodeFilterFromProto(request.filter, scope), pageFromProto(request));
      return {
        agents: page.items.map((node) => agentToProto(node, request.outputMask)),
        nextPageToken: page.nextPageToken ?? '',
      };
    }),

    GetAgent: unaryHandler(callContext, async ({ id, outputMask }, _call, { scope }) => {
      const node = await store.nodes.get(agentIdFromProto(id));
      if (node === undefined || scope?.mayReadAgent(node.agentId) === false)
        throw new BonafideError('not_found', 'agent not found');
      return agentToProto(node, outputMask);
    }),

    DeleteAgent: unaryHandler(callContext, async ({ id }, call, { log, audit }) => {
      const agentId = agentIdFromProto(id);
      const revision = await agents.evict(agentId);
      sendRevisions(call, [revision]);
      audit.note({ subject: { agentId }, revision });
      log.info({ agent_id: agentId }, 'Agent deleted');
      return {};
    }),

    BanAgent: unaryHandler(callContext, async ({ id }, call, { log, audit }) => {
      const agentId = agentIdFromProto(id);
      const revision = await agents.ban(agentId);
      sendRevisions(call, [revision]);
      audit.note({ subject: { agentId }, revision });
      log.info({ agent_id: agentId }, 'Agent banned');
      return {};
    }),
  };
}
