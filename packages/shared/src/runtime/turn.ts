/** The turn of a long piece of work: after a while of it, others have theirs. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from './clock.js';

const LONGEST_MS = 4;

export class Turn {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #startedMs: number;

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  /** The items one by one, with pauses between them. */
  async *through<T>(items: Iterable<T>): AsyncGenerator<T, void, undefined> {
    for (const item of items) {
      if (this.isOver) await this.next();
      yield item;
    }
  }

  get isOver(): boolean {
    return this.#clock.monotonicMs() - this.#startedMs >= LONGEST_MS;
  }

  /** Goes on once whoever waits has had a turn. */
  async next(): Promise<void> {
    await nextTurn();
    this.#startedMs = this.#clock.monotonicMs();
  }
}
