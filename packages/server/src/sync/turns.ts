/** Shares the thread: of many streams with something to send, only so much is worked on in one turn of the event loop. */
import { setImmediate as nextTurn } from 'node:timers/promises';

/** Changes come first: a page of a snapshot is only begun in a turn that has done little for snapshots so far. */
export type TurnKind = 'change' | 'snapshot';

/** In entries to encode, about 10 microseconds each. */
const MESSAGE_COST = 16;
const BUDGET: Readonly<Record<TurnKind, number>> = { change: 64 * MESSAGE_COST, snapshot: 16 * MESSAGE_COST };

export class Turns {
  readonly #spent: Record<TurnKind, number> = { change: 0, snapshot: 0 };
  #end: Promise<void> | undefined;

  /** Resolves when the caller may do one message's work. */
  async take(kind: TurnKind): Promise<void> {
    while (this.#spent[kind] >= BUDGET[kind]) await this.#endOfTurn();
    this.#spent[kind] += MESSAGE_COST;
    void this.#endOfTurn();
  }

  /** What the message turned out to hold; it makes those that follow wait. */
  spend(kind: TurnKind, entries: number): void {
    this.#spent[kind] += entries;
  }

  #endOfTurn(): Promise<void> {
    this.#end ??= nextTurn().then(() => {
      this.#spent.change = 0;
      this.#spent.snapshot = 0;
      this.#end = undefined;
    });
    return this.#end;
  }
}
