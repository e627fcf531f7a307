/** A wait for a moment of wall-clock time that can be cut short, for loops that have something to do later unless something comes up. */
import type { Clock, Timer } from './clock.js';

/** Timers follow monotonic time: after this long the wall clock is asked again, in case it was set meanwhile. */
const LONGEST_NAP_MS = 30_000;

export class Alarm {
  readonly #clock: Clock;
  #isRung = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the wait, or the next one if nobody is waiting. */
  ring(): void {
    this.#isRung = true;
    this.#wake?.();
  }

  /**
   * Resolves when the time has come, `ring` is called, the signal fires or a nap is over: the caller looks again at what there is to do.
   * One wait at a time.
   */
  async wait(until: Date | undefined, signal: AbortSignal): Promise<void> {
    if (!this.#isRung && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const delayMs = until === undefined ? LONGEST_NAP_MS : until.getTime() - this.#clock.now().getTime();
        const timer: Timer = this.#clock.schedule(Math.min(Math.max(delayMs, 0), LONGEST_NAP_MS), finish);
        function finish(): void {
          timer.cancel();
          signal.removeEventListener('abort', finish);
          resolve();
        }
        this.#wake = finish;
        signal.addEventListener('abort', finish, { once: true });
      });
      this.#wake = undefined;
    }
    this.#isRung = false;
  }
}
