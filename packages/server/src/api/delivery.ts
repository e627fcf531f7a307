/** bonafide.sync.v1.Delivery: operators wait until what they changed has reached the agents. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { countFromProto } from '@bonafide/shared/rpc/codec/field';
import type { AgentDelivery as AgentDeliveryProto } from '@bonafide/shared/rpc/gen/bonafide/sync/v1/AgentDelivery';
import type { WaitForDeliveryResponse } from '@bonafide/shared/rpc/gen/bonafide/sync/v1/WaitForDeliveryResponse';
import { serverStreamHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import { unixSeconds } from '@bonafide/shared/runtime/clock';
import { callContext } from '../access/call-context.js';
import type { AgentDelivery } from '../delivery/agent-delivery.js';
import type { DeliveryProgress, DeliveryWaits } from '../delivery/wait-for-delivery.js';

const LONGEST_WAIT_MS = 3_600_000;
const AGENTS_A_MESSAGE = 1_000;

export function createDeliveryHandlers(waits: DeliveryWaits): Handlers<'bonafide.sync.v1.Delivery'> {
  return {
    WaitForDelivery: serverStreamHandler(callContext, async (request, call, { signal, scope }) => {
      const revision = countFromProto('revision', request.revision);
      if (revision === 0) throw invalidArgument('revision: is missing; expected that of a write, 1 or more');
      const { timeoutMs } = request;
      if (timeoutMs > LONGEST_WAIT_MS) {
        throw invalidArgument(`timeout_ms: is ${timeoutMs}; expected at most ${LONGEST_WAIT_MS}`);
      }
      for await (const progress of waits.wait({
        revision,
        timeoutMs,
        member: scope && {
          roles: scope.rolesThatReadAgents,
          mayHearOf: scope.mayReadAgent.bind(scope),
        },
        signal,
      })) {
        for (const message of messagesOf(progress)) await writeMessage(call, message, signal);
      }
    }),
  };
}

function* messagesOf(progress: DeliveryProgress): Generator<WaitForDeliveryResponse, void, undefined> {
  const { concerned, delivered } = progress;
  if (progress.kind === 'counts') {
    yield { concerned, delivered };
    return;
  }
  let agents: AgentDeliveryProto[] = [];
  for (const agent of progress.agents) {
    if (agents.length === AGENTS_A_MESSAGE) {
      yield { concerned, delivered, agents };
      agents = [];
    }
    agents.push(agentToProto(agent));
  }
  yield { concerned, delivered, agents, isLast: true };
}

function agentToProto(agent: AgentDelivery): AgentDeliveryProto {
  const { agentId } = agent;
  switch (agent.kind) {
    case 'delivered':
      return { agentId, delivered: {} };
    case 'behind':
      return { agentId, behind: { appliedRevision: agent.appliedRevision, serverId: agent.serverId } };
    case 'offline':
      return { agentId, offline: { since: unixSeconds(agent.since), isExact: agent.isExact } };
  }
}
