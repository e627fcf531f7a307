/** A map to sets in which a set of one costs no set: most keys of the entry graph have exactly one value. */
export class MultiMap<K, V extends string | object> {
  readonly #sets = new Map<K, V | Set<V>>();

  add(key: K, value: V): void {
    const found = this.#sets.get(key);
    if (found === undefined) this.#sets.set(key, value);
    else if (found instanceof Set) found.add(value);
    else if (found !== value) this.#sets.set(key, new Set([found, value]));
  }

  delete(key: K, value: V): void {
    const found = this.#sets.get(key);
    if (found === value) this.#sets.delete(key);
    else if (found instanceof Set && found.delete(value) && found.size === 0) this.#sets.delete(key);
  }

  has(key: K): boolean {
    return this.#sets.has(key);
  }

  includes(key: K, value: V): boolean {
    const found = this.#sets.get(key);
    return found instanceof Set ? found.has(value) : found === value;
  }

  /** The values now; do not add or delete while iterating. */
  get(key: K): Iterable<V> {
    const found = this.#sets.get(key);
    if (found === undefined) return [];
    return found instanceof Set ? found : [found];
  }

  sizeOf(key: K): number {
    const found = this.#sets.get(key);
    if (found === undefined) return 0;
    return found instanceof Set ? found.size : 1;
  }
}
