/** How many signings are under way at once: enough to keep the thread pool busy, few enough not to stop the event loop. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

/** Measured: 16 fills the pool on a small machine and keeps a batch of 500 from stalling the loop for more than some 10 ms. */
export const SIGNING_WINDOW = 16;
/** About a second of work; whoever comes later is better served by being told to come back. */
const MAX_WAITING = 10_000;

export class SigningWindow {
  readonly #size: number;
  readonly #maxWaiting: number;
  #running = 0;
  /** First in, first out; `#next` is the index of the first one. */
  #waiting: (() => void)[] = [];
  #next = 0;

  constructor(size: number = SIGNING_WINDOW, maxWaiting: number = MAX_WAITING) {
    this.#size = size;
    this.#maxWaiting = maxWaiting;
  }

  /** Runs `work` when a place is free. @throws BonafideError `resource_exhausted` when too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#size) await this.#wait();
    else this.#running += 1;
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #wait(): Promise<void> {
    if (this.#waiting.length - this.#next >= this.#maxWaiting) {
      const message = 'too many SVIDs are waiting to be signed; try again shortly';
      throw new BonafideError('resource_exhausted', message, { retryAfterMs: 1000 });
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Hands the place on, so that nobody who comes now overtakes those who wait. */
  #leave(): void {
    const resume = this.#waiting[this.#next];
    if (resume === undefined) {
      this.#running -= 1;
      this.#waiting = [];
      this.#next = 0;
      return;
    }
    this.#next += 1;
    if (this.#next >= 1024) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    resume();
  }
}
