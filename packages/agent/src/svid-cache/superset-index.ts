/** Finds the stored sets that hold all members of a given one: which callers does an entry concern? */

export class SupersetIndex<Item> {
  readonly #byMember = new Map<string, Set<Item>>();
  readonly #membersOf = new Map<Item, ReadonlySet<string>>();

  add(members: ReadonlySet<string>, item: Item): void {
    this.#membersOf.set(item, members);
    for (const member of members) {
      const items = this.#byMember.get(member);
      if (items === undefined) this.#byMember.set(member, new Set([item]));
      else items.add(item);
    }
  }

  remove(item: Item): void {
    for (const member of this.#membersOf.get(item) ?? []) {
      const items = this.#byMember.get(member);
      items?.delete(item);
      if (items?.size === 0) this.#byMember.delete(member);
    }
    this.#membersOf.delete(item);
  }

  /** @param subset at least one member. */
  *supersetsOf(subset: readonly string[]): Generator<Item> {
    let fewest: ReadonlySet<Item> | undefined;
    for (const member of subset) {
      const items = this.#byMember.get(member);
      if (items === undefined) return;
      if (fewest === undefined || items.size < fewest.size) fewest = items;
    }
    for (const item of fewest ?? []) {
      const members = this.#membersOf.get(item);
      if (members !== undefined && subset.every((each) => members.has(each))) yield item;
    }
  }
}
