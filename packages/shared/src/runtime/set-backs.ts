/** Notices that the wall clock was set back, after which whatever was planned by it would come too late by as much. */
import type { Clock } from './clock.js';

/** Less than that is how clocks are kept right all the time. */
const TOLERANCE_MS = 2_000;

export class SetBacks {
  readonly #clock: Clock;
  /** How far the wall clock was ahead of the time that only goes forward. */
  #aheadMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#aheadMs = this.#measure();
  }

  /** By how many milliseconds the wall clock was set back since this was asked last; 0 when it was not. Small steps add up. */
  take(): number {
    const aheadMs = this.#measure();
    const setBackMs = this.#aheadMs - aheadMs;
    if (setBackMs >= 0 && setBackMs <= TOLERANCE_MS) return 0;
    this.#aheadMs = aheadMs;
    return Math.max(setBackMs, 0);
  }

  #measure(): number {
    return this.#clock.now().getTime() - this.#clock.monotonicMs();
  }
}
