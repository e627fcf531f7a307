/** The only door to the world's time: everything that lives takes a Clock, so that tests can move it. */
import { performance } from 'node:perf_hooks';
import { BonafideError } from '../errors/bonafide-error.js';

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall-clock time; may jump either way, so never subtract two of these to measure a duration. */
  now(): Date;
  /** Milliseconds that only go forward; for durations and rate limits. */
  monotonicMs(): number;
  /** Calls once after `delayMs` (0 or more, clamped to 2^31-1); does not keep the process alive. */
  schedule(delayMs: number, callback: () => void): Timer;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  schedule(delayMs, callback) {
    const handle = setTimeout(callback, Math.min(Math.max(delayMs, 0), LONGEST_TIMER_MS));
    handle.unref();
    return {
      cancel: () => {
        clearTimeout(handle);
      },
    };
  },
};

/** Resolves after `delayMs`; rejects with reason `cancelled` when the signal fires first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(cancelled());
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      reject(cancelled());
    };
    const timer = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

function cancelled(): BonafideError {
  return new BonafideError('cancelled', 'cancelled while waiting');
}

export function addSeconds(date: Date, seconds: number): Date {
  return new Date(date.getTime() + seconds * 1000);
}

/** Whole seconds since the epoch, rounded down; the unit of every timestamp on the wire. */
export function unixSeconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}

export function dateFromUnixSeconds(seconds: number): Date {
  return new Date(seconds * 1000);
}
