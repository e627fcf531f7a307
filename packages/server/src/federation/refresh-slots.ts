/** Bounds how many bundle endpoints are asked at the same time, however many relationships there are. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

export class RefreshSlots {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(slots: number) {
    this.#free = slots;
  }

  /** @throws BonafideError `cancelled` when the signal fired before there was a slot; whatever the work throws. */
  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve);
      });
    }
    try {
      if (signal.aborted) throw new BonafideError('cancelled', 'the refresh was cancelled');
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
