/** How many requests one stream may make: some at once, then a few a second, and one for each message that it was sent. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';

const MOST_AT_ONCE = 200;
const PER_SECOND = 20;

export class RequestAllowance {
  readonly #clock: Clock;
  #left = MOST_AT_ONCE;
  #countedAtMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#countedAtMs = clock.monotonicMs();
  }

  /** @throws BonafideError `resource_exhausted`. */
  take(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#left = Math.min(MOST_AT_ONCE, this.#left + ((nowMs - this.#countedAtMs) / 1000) * PER_SECOND);
    this.#countedAtMs = nowMs;
    if (this.#left < 1) {
      const message = `too many requests on one stream; ${PER_SECOND} a second are accepted, and one for each response`;
      throw new BonafideError('resource_exhausted', message, { retryAfterMs: 1000 });
    }
    this.#left -= 1;
  }

  /** For the answer that a message calls for. */
  give(): void {
    this.#left = Math.min(MOST_AT_ONCE, this.#left + 1);
  }
}
