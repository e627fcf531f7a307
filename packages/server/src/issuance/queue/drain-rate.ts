/** How fast a queue drains while there is something in it, and from it when whoever is turned away should come back. */

/** A rate is believed once it was measured this long; later ones weigh as much as all before. */
const MEASURED_MS = 200;
/** Before anything was measured; a small machine does more. */
const ASSUMED_PER_SECOND = 1000;
const LONGEST_RETRY_MS = 60_000;
const SHORTEST_RETRY_MS = 100;
/** Of callers that were told the same time, the last comes this much later than the first. */
const JITTER = 0.25;

export class DrainRate {
  readonly #random: () => number;
  #perSecond: number | undefined;
  #window: { readonly startMs: number; done: number } | undefined;
  /** Up to when the work that others were told to bring back keeps us busy. */
  #promisedUntilMs = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Undefined until it was measured. */
  get perSecond(): number | undefined {
    return this.#perSecond;
  }

  /** @param done how many were finished just now. */
  record(done: number, nowMs: number): void {
    this.#window ??= { startMs: nowMs, done: -done };
    this.#window.done += done;
    const elapsedMs = nowMs - this.#window.startMs;
    if (elapsedMs < MEASURED_MS) return;
    const measured = Math.max(1, (this.#window.done * 1000) / elapsedMs);
    this.#perSecond = this.#perSecond === undefined ? measured : (this.#perSecond + measured) / 2;
    this.#window = undefined;
  }

  /** Nothing waits: what comes next says nothing about how fast we could have been. */
  pause(): void {
    this.#window = undefined;
  }

  waitMs(items: number): number {
    return (items * 1000) / (this.#perSecond ?? ASSUMED_PER_SECOND);
  }

  /**
   * Each caller that is turned away is told another time, so that they return as fast as room is made and not all at once.
   * @param items what it wanted done.
   */
  retryAfterMs(items: number, nowMs: number): number {
    const from = Math.max(this.#promisedUntilMs, nowMs);
    this.#promisedUntilMs = Math.min(from + this.waitMs(items), nowMs + LONGEST_RETRY_MS);
    const plainMs = Math.max(this.#promisedUntilMs - nowMs, SHORTEST_RETRY_MS);
    return Math.ceil(plainMs * (1 + this.#random() * JITTER));
  }
}
