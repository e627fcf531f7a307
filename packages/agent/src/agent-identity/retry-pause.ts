/** How long to wait after a failure: never less than the server asked for, and not as long as everyone else that it asked. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** While an operator has to let the node in. */
export const PENDING_PAUSES = { initialMs: 5_000, maximumMs: 60_000 };
/** While an operator has to release it: workloads are waiting. */
export const QUARANTINE_PAUSES = { initialMs: 2_000, maximumMs: 10_000 };

/** Those who were told the same come back spread over this part of what they were told. */
const SPREAD = 0.25;

/** How long the server asked to be left alone; 0 when it did not. */
export function retryAfterMs(error: unknown): number {
  return error instanceof BonafideError ? (error.retryAfterMs ?? 0) : 0;
}

/** @param random a number in [0, 1). */
export function retryPauseMs(backoffMs: number, error: unknown, random: () => number): number {
  const askedMs = retryAfterMs(error);
  return askedMs === 0 ? backoffMs : Math.max(backoffMs, askedMs * (1 + SPREAD * random()));
}
