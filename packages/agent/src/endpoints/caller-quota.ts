/** How much of something scarce one user of the node may hold at once, so that none can take it all. */

export class CallerQuota {
  readonly #limit: number;
  readonly #countByUid = new Map<number, number>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get limit(): number {
    return this.#limit;
  }

  /** @returns what gives the place back, to be called once; undefined when this user has reached the limit. */
  enter(uid: number): (() => void) | undefined {
    const count = this.#countByUid.get(uid) ?? 0;
    if (count >= this.#limit) return undefined;
    this.#countByUid.set(uid, count + 1);
    return () => {
      const left = (this.#countByUid.get(uid) ?? 0) - 1;
      if (left > 0) this.#countByUid.set(uid, left);
      else this.#countByUid.delete(uid);
    };
  }
}
