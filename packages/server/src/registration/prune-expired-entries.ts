/** Deletes entries soon after they expire; until then nothing is read from the store. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TellOwnAct } from '../audit/own-acts.js';
import type { Registration } from './registration.js';

export interface PruningOptions {
  readonly registration: Pick<Registration, 'pruneExpired'>;
  /** When the next entry ends by itself; the entry graph knows without asking the store. */
  readonly expiries: { earliestExpiry(): Date | undefined };
  readonly tell?: TellOwnAct | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const LOOK_EVERY_MS = 1000;
const AFTER_FAILURE_MS = 30_000;

/** Runs until the signal fires, and then resolves. */
export async function pruneExpiredEntries(options: PruningOptions, signal: AbortSignal): Promise<void> {
  try {
    while (!signal.aborted) await sleep(options.clock, await pruneOnce(options), signal);
  } catch (error) {
    if (!hasReason(error, 'cancelled')) throw error;
  }
}

/** @returns after how many milliseconds to look again. */
async function pruneOnce({ registration, expiries, tell, clock, log }: PruningOptions): Promise<number> {
  const earliest = expiries.earliestExpiry();
  if (earliest === undefined || earliest > clock.now()) return LOOK_EVERY_MS;
  try {
    for (const entry of await registration.pruneExpired()) {
      log.info(
        { entry_id: entry.id, spiffe_id: entry.spiffeId, parent_id: entry.parentId },
        'pruned an expired entry',
      );
      await tell?.('entry_pruned', { subject: { entryId: entry.id, spiffeId: entry.spiffeId } });
    }
    return LOOK_EVERY_MS;
  } catch (error) {
    // Expired entries are nobody's already; a database that is away is told of elsewhere.
    if (hasReason(error, 'unavailable')) log.debug({ err: error }, 'expired entries are pruned later');
    else log.error({ err: error }, 'cannot prune expired entries; trying again');
    return AFTER_FAILURE_MS;
  }
}
