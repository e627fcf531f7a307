/** Follows the delivery of what a command committed, revision by revision, and adds up who holds all of it. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { isTerminal } from '@bonafide/shared/cli/terminal';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { AgentDelivery__Output } from '@bonafide/shared/rpc/gen/bonafide/sync/v1/AgentDelivery';
import type { ServerConnection } from '../server-connection.js';

export interface DeliveryOutcome {
  readonly revisions: readonly number[];
  readonly concerned: number;
  readonly delivered: number;
  readonly elapsedMs: number;
  /** Each once, with how far it lacks behind. */
  readonly undelivered: readonly UndeliveredAgent[];
}

export interface UndeliveredAgent {
  readonly agent: AgentDelivery__Output;
  /** That it does not hold. */
  readonly revision: number;
}

const CLEAR_LINE = '\r\u001B[K';

/** @throws BonafideError as the server refused. */
export async function awaitDelivery(
  server: ServerConnection,
  host: CommandHost,
  revisions: readonly number[],
  timeoutMs: number,
): Promise<DeliveryOutcome> {
  const startedMs = host.clock.monotonicMs();
  const concerned = new Set<string>();
  const undelivered = new Map<string, UndeliveredAgent>();
  for (const revision of revisions) {
    const leftMs = Math.max(0, Math.ceil(timeoutMs - (host.clock.monotonicMs() - startedMs)));
    for (const agent of await finalStates(server, host, revision, leftMs)) {
      concerned.add(agent.agentId);
      if (agent.state !== 'delivered') undelivered.set(agent.agentId, { agent, revision });
    }
  }
  return {
    revisions,
    concerned: concerned.size,
    delivered: concerned.size - undelivered.size,
    elapsedMs: host.clock.monotonicMs() - startedMs,
    undelivered: [...undelivered.values()],
  };
}

async function finalStates(
  server: ServerConnection,
  host: CommandHost,
  revision: number,
  timeoutMs: number,
): Promise<readonly AgentDelivery__Output[]> {
  const agents: AgentDelivery__Output[] = [];
  let isComplete = false;
  try {
    for await (const progress of server.waitForDelivery({ revision, timeoutMs })) {
      agents.push(...progress.agents);
      isComplete = progress.isLast;
      if (isTerminal(host, 'stderr')) {
        const { delivered, concerned } = progress;
        host.stderr.write(`${CLEAR_LINE}Delivered to ${delivered} of ${concerned} agents ...`);
      }
    }
  } finally {
    if (isTerminal(host, 'stderr')) host.stderr.write(CLEAR_LINE);
  }
  if (!isComplete)
    throw new BonafideError(
      'internal',
      'the server stopped telling of the delivery before it had said everything',
    );
  return agents;
}
