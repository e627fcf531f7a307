/** Hands values to a slow taker one at a time: of those that come meanwhile only the newest is kept. */

export class LatestOnly<Value> {
  readonly #hand: (value: Value, taken: () => void) => void;
  #isBusy = false;
  #isHanding = false;
  #waiting: { readonly value: Value } | undefined;

  /** @param hand gives one value to the taker and calls `taken`, now or later, when it is ready for the next; must not throw. */
  constructor(hand: (value: Value, taken: () => void) => void) {
    this.#hand = hand;
  }

  set(value: Value): void {
    this.#waiting = { value };
    this.#next();
  }

  readonly #taken = (): void => {
    this.#isBusy = false;
    this.#next();
  };

  /** A loop, because a taker that is always ready must not deepen the stack. */
  #next(): void {
    if (this.#isHanding) return;
    this.#isHanding = true;
    while (!this.#isBusy && this.#waiting !== undefined) {
      const { value } = this.#waiting;
      this.#waiting = undefined;
      this.#isBusy = true;
      this.#hand(value, this.#taken);
    }
    this.#isHanding = false;
  }
}
