/** A token bucket for each of many sources, remembered only as long as it differs from a new one. */
import { TokenBucket, type TokenBucketRate } from './token-bucket.js';

/** Sources that are remembered; past it the longest unseen is forgotten. */
const MAXIMUM_SOURCES = 50_000;

export class TokenBuckets<Source> {
  readonly #rate: TokenBucketRate;
  /** A Map keeps insertion order: what is used moves to the end, so the first is the longest unseen. */
  readonly #buckets = new Map<Source, TokenBucket>();

  constructor(rate: TokenBucketRate) {
    this.#rate = rate;
  }

  get size(): number {
    return this.#buckets.size;
  }

  /** The bucket of a source that is about to take from it. */
  of(source: Source, nowMs: number): TokenBucket {
    const bucket = this.#buckets.get(source) ?? new TokenBucket(this.#rate, nowMs);
    this.#buckets.delete(source);
    this.#buckets.set(source, bucket);
    this.#forgetIdle(nowMs);
    return bucket;
  }

  #forgetIdle(nowMs: number): void {
    let looks = 2; // more than one new source a call cannot arrive, so the table shrinks faster than it grows
    for (const [source, bucket] of this.#buckets) {
      if (looks === 0 || this.#buckets.size <= 1) return;
      looks -= 1;
      if (!bucket.isFull(nowMs) && this.#buckets.size <= MAXIMUM_SOURCES) return;
      this.#buckets.delete(source);
    }
  }
}
