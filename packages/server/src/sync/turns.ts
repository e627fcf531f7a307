/** Shares the thread: of many streams with something to send, only so many work in one turn of the event loop. */
import { setImmediate as nextTurn } from 'node:timers/promises';

const MESSAGES_A_TURN = 64;

export class Turns {
  #taken = 0;
  #end: Promise<void> | undefined;

  /** Resolves when the caller may do one message's work. */
  async take(): Promise<void> {
    while (this.#taken >= MESSAGES_A_TURN) await this.#endOfTurn();
    this.#taken += 1;
    void this.#endOfTurn();
  }

  #endOfTurn(): Promise<void> {
    this.#end ??= nextTurn().then(() => {
      this.#taken = 0;
      this.#end = undefined;
    });
    return this.#end;
  }
}
