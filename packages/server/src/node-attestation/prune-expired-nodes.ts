/** Forgets agents whose SVID ended long ago, where the configuration asks for it; the same nodes may attest again. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TellOwnAct } from '../audit/own-acts.js';
import type { AttestedNode } from '../store/node-record.js';
import type { Store } from '../store/store.js';

export interface NodePruningPolicy {
  /** How long ago the SVID must have ended. */
  readonly expiredForSeconds: number;
  /** At most so many in one turn. */
  readonly batchSize: number;
  /** Also those that cannot attest again, and so lose their place for good. */
  readonly includesTrustedOnFirstUse: boolean;
}

interface NodePruningOptions {
  readonly policy: NodePruningPolicy;
  readonly store: Pick<Store, 'nodes' | 'write'>;
  /** Deletes the agent if, inside the transaction, `mayGo` still holds. @returns whether it did. */
  readonly evictIf: (agentId: SpiffeId, mayGo: (node: AttestedNode) => boolean) => Promise<boolean>;
  readonly tell?: TellOwnAct | undefined;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const HOUR_MS = 3_600_000;
const LARGEST_JITTER_MS = 900_000;
const PAGE_SIZE = 500;

/** Runs until the signal fires, and then resolves: every hour, and not with every server of a database at once. */
export async function pruneExpiredNodes(options: NodePruningOptions, signal: AbortSignal): Promise<void> {
  try {
    while (!signal.aborted) {
      await pruneOnce(options, signal);
      await sleep(options.clock, HOUR_MS + options.random() * LARGEST_JITTER_MS, signal);
    }
  } catch (error) {
    if (!hasReason(error, 'cancelled')) throw error;
  }
}

async function pruneOnce(options: NodePruningOptions, signal: AbortSignal): Promise<void> {
  const { clock, evictIf, log, policy, store, tell } = options;
  const expiresBefore = addSeconds(clock.now(), -policy.expiredForSeconds);
  const mayGo = (node: AttestedNode): boolean =>
    node.expiresAt < expiresBefore &&
    !node.isBanned &&
    node.quarantine === undefined &&
    (node.canReattest || policy.includesTrustedOnFirstUse);
  const filter = {
    expiresBefore,
    isBanned: false,
    ...(policy.includesTrustedOnFirstUse ? {} : { canReattest: true }),
  };
  try {
    let left = policy.batchSize;
    let token: string | undefined;
    do {
      const page = await store.nodes.list(filter, { size: PAGE_SIZE, token });
      for (const node of page.items.filter(mayGo)) {
        if (signal.aborted || left === 0) return;
        if (!(await evictIf(node.agentId, mayGo))) continue;
        left -= 1;
        log.info({ agent_id: node.agentId, expires_at: node.expiresAt }, 'pruned an expired agent');
        await tell?.('agent_pruned', { subject: { agentId: node.agentId } });
      }
      token = page.nextPageToken;
    } while (token !== undefined);
  } catch (error) {
    if (hasReason(error, 'unavailable')) log.debug({ err: error }, 'expired agents are pruned later');
    else log.error({ err: error }, 'cannot prune expired agents; trying again in an hour');
  }
}
