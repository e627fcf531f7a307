/** bonafide.attestation.v1.NodeAdmission: operators look at nodes, have them prove themselves, put them into quarantine and release them. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { textFromProto } from '@bonafide/shared/rpc/codec/field';
import { nodeStateToProto } from '@bonafide/shared/rpc/codec/node-state';
import { selectorsToProto } from '@bonafide/shared/rpc/codec/selector';
import { spiffeIdFromProto, spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { NodeState as NodeStateProto } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/NodeState';
import type { PendingNode as PendingNodeProto } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/PendingNode';
import type { SPIFFEID__Output } from '@bonafide/shared/rpc/gen/spire/api/types/SPIFFEID';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext, type AuthorizedCallContext } from '../access/call-context.js';
import { nameOfCaller } from '../access/name-of-caller.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { DecidedNode, NodeAdmissions, PendingNode } from '../node-admission/node-admissions.js';
import type { NodeQuarantine } from '../node-proof/node-quarantine.js';
import type { NodeStates } from '../node-proof/node-states.js';
import { checkAgentId } from './request/own-ids.js';
import { pageFromProto } from './request/page.js';

export interface NodeAdmissionApiOptions {
  readonly trustDomain: TrustDomain;
  readonly graph: Pick<EntryGraph, 'quarantinedNodes'>;
  readonly states: NodeStates;
  readonly quarantine: NodeQuarantine;
  readonly admissions: NodeAdmissions;
}

const LONGEST_WAIT_MS = 120_000;
const LONGEST_REASON_BYTES = 1_000;

export function createNodeAdmissionHandlers(
  options: NodeAdmissionApiOptions,
): Handlers<'bonafide.attestation.v1.NodeAdmission'> {
  const { trustDomain, graph, states, quarantine, admissions } = options;
  const agentIdFromProto = (id: SPIFFEID__Output | null): SpiffeId =>
    checkAgentId(trustDomain, spiffeIdFromProto(id, 'id'));
  const stateOf = async (agentId: SpiffeId): Promise<NodeStateProto> =>
    nodeStateToProto(await states.get(agentId));
  const decision = (
    {
      id,
      reason,
      digest,
    }: { readonly id: SPIFFEID__Output | null; readonly reason: string; readonly digest?: string },
    { caller, audit }: Pick<AuthorizedCallContext, 'caller' | 'audit'>,
  ): DecidedNode => ({
    audit,
    digest: digest === '' ? undefined : digest,
    agentId: agentIdFromProto(id),
    by: nameOfCaller(caller),
    reason: checkReason(reason),
  });

  return {
    GetNodeState: unaryHandler(callContext, async ({ id }) => stateOf(agentIdFromProto(id))),

    RequestProof: unaryHandler(callContext, async ({ id, waitMs }, _call, { signal, audit }) => {
      if (waitMs > LONGEST_WAIT_MS) {
        throw invalidArgument(`wait_ms: is ${waitMs}; expected at most ${LONGEST_WAIT_MS}`);
      }
      const agentId = agentIdFromProto(id);
      const state = await states.requestProof(agentId, waitMs, signal);
      audit.note({ subject: { agentId } });
      return nodeStateToProto(state);
    }),

    QuarantineAgent: unaryHandler(callContext, async (request, _call, context) => {
      const { agentId, by, reason } = decision(request, context);
      await quarantine.byOperator(agentId, reason, by, context.audit);
      return stateOf(agentId);
    }),

    ReleaseAgent: unaryHandler(callContext, async ({ id, digest }, _call, { caller, audit }) => {
      const agentId = agentIdFromProto(id);
      if (digest === '') {
        throw invalidArgument('digest: is missing; expected that of the state that is to be accepted');
      }
      await quarantine.release(agentId, digest, nameOfCaller(caller), audit);
      return stateOf(agentId);
    }),

    ListQuarantinedAgents: unaryHandler(callContext, (request) => {
      const { size, token } = pageFromProto(request);
      const found = graph.quarantinedNodes().filter(({ agentId }) => token === undefined || agentId > token);
      const page = size === 0 ? found : found.slice(0, size);
      return Promise.resolve({
        agents: page.map((node) => nodeStateToProto(node)),
        nextPageToken: page.length < found.length ? (page.at(-1)?.agentId ?? '') : '',
      });
    }),

    ListPendingNodes: unaryHandler(callContext, async (request) => {
      const page = await admissions.list(pageFromProto(request));
      return { nodes: page.items.map(pendingNodeToProto), nextPageToken: page.nextPageToken ?? '' };
    }),

    ApproveNode: unaryHandler(callContext, async (request, _call, context) =>
      pendingNodeToProto(await admissions.approve(decision(request, context))),
    ),

    DenyNode: unaryHandler(callContext, async (request, _call, context) =>
      pendingNodeToProto(await admissions.deny(decision(request, context))),
    ),
  };
}

function checkReason(reason: string): string {
  return textFromProto('reason', reason, LONGEST_REASON_BYTES);
}

function pendingNodeToProto(node: PendingNode): PendingNodeProto {
  return {
    id: spiffeIdToProto(node.agentId),
    attestationType: node.attestationType,
    selectors: selectorsToProto(node.selectors),
    firstAskedAt: node.firstAskedAt.getTime(),
    lastAskedAt: node.lastAskedAt.getTime(),
    expiresAt: node.expiresAt.getTime(),
    state: node.state,
    decisions: node.decisions.map(({ by, isApproval, at, reason }) => ({
      by,
      isApproval,
      at: at.getTime(),
      reason,
    })),
    approvalsNeeded: node.approvalsNeeded,
    address: node.address,
    digest: node.digest,
  };
}
