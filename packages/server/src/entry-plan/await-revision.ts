/** Waits until the entry graph holds a revision that another server may have committed. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { EntryGraph } from '../entry-graph/entry-graph.js';

const LIMIT_MS = 5_000;
const RETRY_AFTER_MS = 1_000;

/** @throws BonafideError `unavailable` when it does not come in time. */
export async function awaitRevision(
  graph: Pick<EntryGraph, 'revision' | 'subscribe'>,
  revision: number,
  clock: Clock,
): Promise<void> {
  if (graph.revision === revision) return;
  const deadline = new Date(clock.now().getTime() + LIMIT_MS);
  const alarm = new Alarm(clock);
  const unsubscribe = graph.subscribe(() => {
    alarm.ring();
  });
  try {
    while (graph.revision !== revision) {
      if (clock.now() >= deadline) {
        throw new BonafideError(
          'unavailable',
          `nothing was changed: this server has not taken in revision ${revision} yet; try again`,
          { retryAfterMs: RETRY_AFTER_MS },
        );
      }
      await alarm.wait(deadline, new AbortController().signal);
    }
  } finally {
    unsubscribe();
  }
}
