/** Tries what needs the server again and again, with growing pauses, as long as trying again can help. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { PENDING_PAUSES, QUARANTINE_PAUSES, retryAfterMs, retryPauseMs } from './retry-pause.js';

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
  let startedMs = clock.monotonicMs();
  const backoff = new Backoff({ ...RETRY_PAUSES, random });
  const operators = {
    agent_pending: new Backoff({ ...PENDING_PAUSES, random }),
    agent_quarantined: new Backoff({ ...QUARANTINE_PAUSES, random }),
  };
  let waitsFor: string | undefined;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (signal.aborted) throw error;
      const reason = operatorReason(error);
      if (reason !== undefined) {
        if (waitsFor !== reason) log.info(`${what} waits for an operator: ${explain(error)}`);
        waitsFor = reason;
        await sleep(clock, operators[reason].nextDelayMs(), signal);
        // The server is there.
        startedMs = clock.monotonicMs();
        backoff.reset();
        continue;
      }
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
    'agent_pending',
    'agent_quarantined',
  );
}

/** What only an operator can end, who may take long. */
function operatorReason(error: unknown): 'agent_pending' | 'agent_quarantined' | undefined {
  if (hasReason(error, 'agent_pending')) return 'agent_pending';
  return hasReason(error, 'agent_quarantined') ? 'agent_quarantined' : undefined;
}
