/** Deletes requests and decisions that have expired; they counted no longer before. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Store } from '../store/store.js';

export interface AdmissionPruningOptions {
  readonly store: Pick<Store, 'nodeAdmissions' | 'write'>;
  readonly clock: Clock;
  readonly log: Logger;
}

const PAUSE_MS = 600_000;

/** Runs until the signal fires, and then resolves. */
export async function pruneAdmissions(options: AdmissionPruningOptions, signal: AbortSignal): Promise<void> {
  try {
    for (;;) {
      await sleep(options.clock, PAUSE_MS, signal);
      await pruneOnce(options);
    }
  } catch (error) {
    if (!hasReason(error, 'cancelled')) throw error;
  }
}

async function pruneOnce({ store, clock, log }: AdmissionPruningOptions): Promise<void> {
  const now = clock.now();
  try {
    const count = await store.nodeAdmissions.countExpired(now);
    if (count === 0) return;
    await store.write(({ nodeAdmissions }) => nodeAdmissions.deleteExpired(now));
    log.info({ count }, 'requests of nodes to be let in were forgotten');
  } catch (error) {
    if (hasReason(error, 'unavailable')) log.debug({ err: error }, 'requests of nodes are pruned later');
    else log.error({ err: error }, 'cannot prune requests of nodes to be let in; trying again');
  }
}
