/** Finds the stored sets that are subsets of a given one, at a cost that follows the given set and not the number stored. */

interface StoredSet<Item> {
  readonly members: readonly string[];
  /** The member under which the set is filed: the one that had the fewest sets when it came. */
  readonly anchor: string;
  readonly items: Set<Item>;
}

/**
 * Every stored set is filed under one of its members only, so a lookup reads one shelf for each member of the set that is asked about.
 * Equal sets are stored once.
 */
export class SubsetIndex<Item> {
  readonly #sets = new Map<string, StoredSet<Item>>();
  readonly #shelves = new Map<string, Set<StoredSet<Item>>>();

  /** @param members sorted, without repeats, at least one. */
  add(members: readonly string[], item: Item): void {
    const key = JSON.stringify(members);
    let stored = this.#sets.get(key);
    if (stored === undefined) {
      stored = { members, anchor: this.#leastUsed(members), items: new Set() };
      this.#sets.set(key, stored);
      const shelf = this.#shelves.get(stored.anchor);
      if (shelf === undefined) this.#shelves.set(stored.anchor, new Set([stored]));
      else shelf.add(stored);
    }
    stored.items.add(item);
  }

  remove(members: readonly string[], item: Item): void {
    const key = JSON.stringify(members);
    const stored = this.#sets.get(key);
    if (stored === undefined) return;
    stored.items.delete(item);
    if (stored.items.size > 0) return;
    this.#sets.delete(key);
    const shelf = this.#shelves.get(stored.anchor);
    shelf?.delete(stored);
    if (shelf?.size === 0) this.#shelves.delete(stored.anchor);
  }

  /** The items of every stored set that has no member outside of `superset`. */
  *subsetsOf(superset: ReadonlySet<string>): Generator<Item> {
    for (const member of superset) {
      for (const stored of this.#shelves.get(member) ?? []) {
        if (stored.members.every((each) => superset.has(each))) yield* stored.items;
      }
    }
  }

  #leastUsed(members: readonly string[]): string {
    let best = '';
    let bestSize = Infinity;
    for (const member of members) {
      const size = this.#shelves.get(member)?.size ?? 0;
      if (size < bestSize) [best, bestSize] = [member, size];
    }
    return best;
  }
}
