/** How much of something scarce one caller, such as a user of the node, may hold at once, so that none can take it all. */

export class CallerQuota<Caller = number> {
  readonly #limit: () => number;
  readonly #countByCaller = new Map<Caller, number>();

  /** @param limit a function is asked each time; whoever holds more than a lower limit keeps it. */
  constructor(limit: number | (() => number)) {
    this.#limit = typeof limit === 'number' ? () => limit : limit;
  }

  get limit(): number {
    return this.#limit();
  }

  /** @returns what gives the place back, to be called once; undefined when this caller has reached the limit. */
  enter(caller: Caller): (() => void) | undefined {
    const count = this.#countByCaller.get(caller) ?? 0;
    if (count >= this.limit) return undefined;
    this.#countByCaller.set(caller, count + 1);
    return () => {
      const left = (this.#countByCaller.get(caller) ?? 0) - 1;
      if (left > 0) this.#countByCaller.set(caller, left);
      else this.#countByCaller.delete(caller);
    };
  }
}
