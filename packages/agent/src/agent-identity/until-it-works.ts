/** Tries what needs the server again and again, with growing pauses, as long as trying again can help. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { retryAfterMs, retryPauseMs } from './retry-pause.js';

export interface Persistence {
  /** For the log, for example `node attestation`. */
  readonly what: string;
  /** After this long the last failure is final; undefined: never. */
  readonly limitMs: number | undefined;
  /** Puts what went wrong into words for the operator. */
  readonly explain: (error: unknown) => string;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

export const RETRY_PAUSES = { initialMs: 1_000, maximumMs: 30_000, leastPart: 0.1 };

/** @throws BonafideError with the reason of the last failure, when it is final. */
export async function untilItWorks(
  work: () => Promise<void>,
  { what, limitMs, explain, random, clock, log }: Persistence,
  signal: AbortSignal,
): Promise<void> {
  const startedMs = clock.monotonicMs();
  const backoff = new Backoff({ ...RETRY_PAUSES, random });
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      const message = `${what} failed: ${explain(error)}`;
      const delayMs = retryPauseMs(backoff.nextDelayMs(), error, random);
      const isLate =
        limitMs !== undefined &&
        // A server that says when to come again is there.
        retryAfterMs(error) === 0 &&
        clock.monotonicMs() + delayMs - startedMs > limitMs;
      if (!isTransient(error) || isLate) {
        throw new BonafideError(error instanceof BonafideError ? error.reason : 'internal', message, {
          cause: error,
        });
      }
      log.warn({ retryInMs: Math.round(delayMs) }, message);
      await sleep(clock, delayMs, signal);
    }
  }
}

/** Worth another attempt with the same evidence. */
export function isTransient(error: unknown): boolean {
  return hasReason(
    error,
    'unavailable',
    'deadline_exceeded',
    'resource_exhausted',
    'aborted',
    'internal',
    'cancelled',
  );
}
