/** A token bucket with bounded debt: a taker is told how long to wait until its tokens have dripped in. */

export interface TokenBucketRate {
  readonly tokensPerSecond: number;
  /** How many may be taken at once after a pause; also the largest single amount. */
  readonly burst: number;
}

export class TokenBucket {
  readonly #rate: TokenBucketRate;
  #tokens: number;
  #refilledAtMs: number;

  constructor(rate: TokenBucketRate, nowMs: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#refilledAtMs = nowMs;
  }

  /**
   * Takes `count` tokens, into debt if need be, unless the debt would take longer than `maximumWaitMs` to drip in.
   * @returns `waitMs`, to be spent before acting when `isTaken`, or before trying again when not.
   */
  take(count: number, nowMs: number, maximumWaitMs: number): { isTaken: boolean; waitMs: number } {
    this.#refill(nowMs);
    const missing = count - this.#tokens;
    const waitMs = missing <= 0 ? 0 : (missing / this.#rate.tokensPerSecond) * 1000;
    if (waitMs > maximumWaitMs) return { isTaken: false, waitMs };
    this.#tokens -= count;
    return { isTaken: true, waitMs };
  }

  /** Gives back what was taken for something that did not happen. */
  giveBack(count: number): void {
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + count);
  }

  /** A full bucket remembers nothing that a new one would not. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#rate.burst;
  }

  #refill(nowMs: number): void {
    const dripped = (Math.max(0, nowMs - this.#refilledAtMs) / 1000) * this.#rate.tokensPerSecond;
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + dripped);
    this.#refilledAtMs = Math.max(this.#refilledAtMs, nowMs);
  }
}
