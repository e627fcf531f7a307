/** When each SVID that is held ends, and who is told of it. */
import { Alarm } from '@bonafide/shared/runtime/alarm';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { DueQueue } from './due-queue.js';

export class ExpiryWatch {
  readonly #clock: Clock;
  readonly #alarm: Alarm;
  readonly #ends = new DueQueue();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#alarm = new Alarm(clock);
  }

  set(entryId: string, notAfter: Date): void {
    this.#ends.set(entryId, notAfter);
    this.#alarm.ring();
  }

  delete(entryId: string): void {
    this.#ends.delete(entryId);
  }

  /** Tells `onExpired` of the entries whose SVID has ended, each once, until the signal fires. */
  async run(onExpired: (entryIds: readonly string[]) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#alarm.wait(this.#ends.next(), signal);
      const expired = this.#ends.take(this.#clock.now());
      if (expired.length > 0) onExpired(expired);
    }
  }
}
