/** Exponential backoff with jitter: spreads the retries of many callers evenly, so that a recovery is not a storm. */

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maximumMs: number;
  /** The part of the growing ceiling that is waited in any case; 0.5 unless told. The less, the wider many callers spread. */
  readonly leastPart?: number;
  /** A number in [0, 1); injected so that tests are repeatable. */
  readonly random?: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** The next delay in milliseconds: between the least part and all of an exponentially growing ceiling. */
  nextDelayMs(): number {
    const { initialMs, maximumMs, leastPart = 0.5, random = Math.random } = this.#options;
    const ceiling = Math.min(maximumMs, initialMs * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return ceiling * (leastPart + random() * (1 - leastPart));
  }

  /** To be called once the thing that was retried works again. */
  reset(): void {
    this.#attempt = 0;
  }
}
