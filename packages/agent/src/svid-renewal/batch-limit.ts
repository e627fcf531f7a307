/** How many CSRs to send at once: all that is allowed while it works, half as many after each failure, growing again with success. */

/** SPIRE's servers sign at most this many a call. */
const MAXIMUM_BATCH = 500;

export class BatchLimit {
  #size = MAXIMUM_BATCH;

  get size(): number {
    return this.#size;
  }

  shrink(): void {
    this.#size = Math.max(1, Math.floor(this.#size / 2));
  }

  grow(): void {
    this.#size = Math.min(MAXIMUM_BATCH, this.#size * 2);
  }
}
