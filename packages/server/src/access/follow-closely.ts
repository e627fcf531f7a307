/** Waits until this server knows what other servers on the database had committed by now: an agent may be faster than the change log. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { Store } from '../store/store.js';

interface FollowedCloselyOptions {
  readonly store: Pick<Store, 'currentRevision'>;
  readonly graph: Pick<EntryGraph, 'revision' | 'subscribe'>;
  readonly clock: Clock;
}

const LIMIT_MS = 3_000;
const RETRY_AFTER_MS = 1_000;

/** @throws BonafideError `unavailable` when that takes seconds, or the database cannot say. */
export async function followClosely({ store, graph, clock }: FollowedCloselyOptions): Promise<void> {
  let unsubscribe = (): void => undefined;
  const follow = async (): Promise<void> => {
    const revision = await store.currentRevision();
    if (graph.revision >= revision) return;
    await new Promise<void>((resolve) => {
      unsubscribe = graph.subscribe(() => {
        if (graph.revision >= revision) resolve();
      });
    });
  };
  try {
    await withTimeLimit(clock, LIMIT_MS, 'the database', follow());
  } catch (error) {
    throw new BonafideError('unavailable', 'the server cannot tell now who you are; try again', {
      cause: error,
      retryAfterMs: RETRY_AFTER_MS,
    });
  } finally {
    unsubscribe();
  }
}
