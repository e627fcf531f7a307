/** A clock that moves only when told to: timers fire in the order in which they fall due, and promises settle between them. */
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';

const MOST_TIMERS_PER_ADVANCE = 100_000;

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/**
 * @example
 * const clock = new FakeClock();
 * const slept = sleep(clock, 5_000);
 * await clock.advance(5_000);
 * await slept;
 */
export class FakeClock implements Clock {
  #wallMs: number;
  #elapsedMs = 0;
  readonly #timers = new Set<PendingTimer>();

  constructor(start = new Date('2030-01-01T00:00:00Z')) {
    this.#wallMs = start.getTime();
  }

  now(): Date {
    return new Date(this.#wallMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  schedule(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#elapsedMs + Math.max(delayMs, 0), callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  /** How many timers wait; a loop that should have stopped leaves none. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** When the next timer falls due, in milliseconds from now; undefined when none waits. */
  get nextTimerMs(): number | undefined {
    const next = this.#nextTimer(Infinity);
    return next === undefined ? undefined : next.dueMs - this.#elapsedMs;
  }

  /** Moves both times forward, firing on the way whatever falls due, including timers made by the ones that fired. */
  async advance(ms: number): Promise<void> {
    const targetMs = this.#elapsedMs + ms;
    for (let fired = 0; fired < MOST_TIMERS_PER_ADVANCE; fired += 1) {
      await settle();
      const next = this.#nextTimer(targetMs);
      if (next === undefined) {
        this.#moveTo(targetMs);
        return;
      }
      this.#moveTo(next.dueMs);
      this.#timers.delete(next);
      next.callback();
    }
    throw new Error(
      `more than ${MOST_TIMERS_PER_ADVANCE} timers fired within ${ms} ms: a loop without a pause?`,
    );
  }

  /** An operator (or NTP) sets the clock: wall-clock time jumps, monotonic time and timers do not notice. */
  jumpWallClock(ms: number): void {
    this.#wallMs += ms;
  }

  #moveTo(elapsedMs: number): void {
    this.#wallMs += elapsedMs - this.#elapsedMs;
    this.#elapsedMs = elapsedMs;
  }

  #nextTimer(untilMs: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      if (next === undefined || timer.dueMs < next.dueMs) next = timer;
    }
    return next; // timers of equal time fire in the order in which they were made: a Set keeps it
  }
}

/** A turn of the event loop lets every promise that can settle do so. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
