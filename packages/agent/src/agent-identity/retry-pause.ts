/** How long to wait after a failure: never less than the server asked for, and not as long as everyone else that it asked. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

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
