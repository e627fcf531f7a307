/** What one server tells another of a revision's delivery, as text in the database. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { z } from 'zod';
import type { AgentDelivery } from './agent-delivery.js';

export interface AnswerBody {
  /** When the answering server started. */
  readonly startedAt: Date;
  /** What has changed since its last answer. */
  readonly agents: readonly AgentDelivery[];
}

const revision = z.number().int().nonnegative();
const milliseconds = z.number().int().nonnegative().max(8.64e15);

const bodySchema = z.strictObject({
  started: milliseconds,
  delivered: z.array(z.string()),
  behind: z.array(z.tuple([z.string(), revision])),
  offline: z.array(z.tuple([z.string(), milliseconds, z.boolean()])),
});

export function formatAnswer({ startedAt, agents }: AnswerBody): string {
  const body: z.infer<typeof bodySchema> = {
    started: startedAt.getTime(),
    delivered: [],
    behind: [],
    offline: [],
  };
  for (const agent of agents) {
    if (agent.kind === 'delivered') body.delivered.push(agent.agentId);
    else if (agent.kind === 'behind') body.behind.push([agent.agentId, agent.appliedRevision]);
    else body.offline.push([agent.agentId, agent.since.getTime(), agent.isExact]);
  }
  return JSON.stringify(body);
}

/** @param serverId who wrote it. @throws BonafideError `internal`. */
export function parseAnswer(text: string, serverId: string): AnswerBody {
  try {
    const body = bodySchema.parse(JSON.parse(text));
    return {
      startedAt: new Date(body.started),
      agents: [
        ...body.delivered.map((id) => ({ kind: 'delivered' as const, agentId: parseSpiffeId(id) })),
        ...body.behind.map(([id, appliedRevision]) => ({
          kind: 'behind' as const,
          agentId: parseSpiffeId(id),
          appliedRevision,
          serverId,
        })),
        ...body.offline.map(([id, since, isExact]) => ({
          kind: 'offline' as const,
          agentId: parseSpiffeId(id),
          since: new Date(since),
          isExact,
        })),
      ],
    };
  } catch (cause) {
    throw new BonafideError('internal', `server ${serverId} answered what is no delivery report`, { cause });
  }
}
