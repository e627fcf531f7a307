/** How long a write waits for those before it, and how long it takes. */
import { systemClock } from '@bonafide/shared/runtime/clock';

/** @param error why it was not committed; undefined when it was. */
export type WriteMeter = (waitSeconds: number, seconds: number, error: unknown) => void;

/** Begins once `before` has settled, which never rejects. */
export function inMeteredTurn<T>(
  before: Promise<void>,
  commit: () => Promise<T>,
  meter: WriteMeter | undefined,
): Promise<T> {
  if (meter === undefined) return before.then(commit);
  const askedAt = systemClock.monotonicMs();
  return before.then(async () => {
    const startedAt = systemClock.monotonicMs();
    const end = (error: unknown): void => {
      meter((startedAt - askedAt) / 1000, (systemClock.monotonicMs() - startedAt) / 1000, error);
    };
    try {
      const result = await commit();
      end(undefined);
      return result;
    } catch (error) {
      end(error);
      throw error;
    }
  });
}
