/** Tries what needs the server again and again, with growing pauses, as long as trying again can help. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';

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

export const RETRY_PAUSES = { initialMs: 1_000, maximumMs: 30_000 };

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
      const delayMs = Math.max(backoff.nextDelayMs(), retryAfterMs(error));
      const isLate = limitMs !== undefined && clock.monotonicMs() + delayMs - startedMs > limitMs;
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

/** How long the server asked to be left alone. */
export function retryAfterMs(error: unknown): number {
  return error instanceof BonafideError ? (error.retryAfterMs ?? 0) : 0;
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
