/** Those who want to hear of every new value. */

export class Listeners<T> {
  readonly #listeners = new Set<(value: T) => void>();

  /** @returns the way to unsubscribe. */
  add(listener: (value: T) => void): () => void {
    const own = (value: T): void => {
      listener(value);
    };
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  tell(value: T): void {
    for (const listener of [...this.#listeners]) listener(value);
  }
}
