/** Bounds how many bundle endpoints are asked at the same time, however many relationships there are. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export class RefreshSlots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(slots: number) {
    this.#free = slots;
  }

  /** @throws BonafideError `cancelled` as soon as the signal fires before there was a slot; whatever the work throws. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (signal.aborted) throw cancelled();
    if (this.#free > 0) this.#free -= 1;
    else await this.#queue(signal);
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  /** Resolves with a slot; who gives up leaves the queue, so that a slot never goes to somebody who is not there. */
  #queue(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(cancelled());
      };
      const enter = (): void => {
        signal.removeEventListener('abort', giveUp);
        resolve();
      };
      this.#waiting.push(enter);
      signal.addEventListener('abort', giveUp, { once: true });
    });
  }
}

function cancelled(): BonafideError {
  return new BonafideError('cancelled', 'the refresh was cancelled');
}
