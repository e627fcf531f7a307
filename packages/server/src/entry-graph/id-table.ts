/**
 * Finds each of a million things by its id: a hash table with open addressing in two flat arrays. A `Map` of that size takes three times
 * as long, gives the collector as much again to do, and stops the process when it grows.
 */
import { randomInt } from 'node:crypto';

interface Identified {
  readonly id: string;
}

const LEAST_PLACES = 16;

export class IdTable<T extends Identified> {
  /** At a power of two of places, at most two thirds taken. Whoever finds a place taken looks at the next one. */
  #items = new Array<T | undefined>(LEAST_PLACES).fill(undefined);
  /** So that only the id that is looked for is ever compared, or nearly so. */
  #hashes = new Int32Array(LEAST_PLACES);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: string): T | undefined {
    return this.#items[this.#find(id, hashOf(id))];
  }

  /** In no order; do not put or delete while iterating. */
  *values(): Generator<T, void, undefined> {
    for (const item of this.#items) if (item !== undefined) yield item;
  }

  /**
   * What is in a stretch of places, so that a walk over everything can pause. What is put or deleted between two calls can be missed or
   * be seen twice.
   * @returns `next` undefined: that was the last stretch.
   */
  stretch(from: number, places: number): { readonly items: readonly T[]; readonly next: number | undefined } {
    const end = from + places;
    const items = this.#items.slice(from, end).filter((item) => item !== undefined);
    return { items, next: end < this.#items.length ? end : undefined };
  }

  /** In place of the one that had its id. */
  put(item: T): void {
    const hash = hashOf(item.id);
    const place = this.#find(item.id, hash);
    const isNew = this.#items[place] === undefined;
    this.#items[place] = item;
    this.#hashes[place] = hash;
    if (!isNew) return;
    this.#size += 1;
    if (this.#size * 3 > this.#items.length * 2) this.#grow();
  }

  delete(id: string): void {
    let gap = this.#find(id, hashOf(id));
    if (this.#items[gap] === undefined) return;
    this.#size -= 1;
    // What follows moves up, unless it would come to lie before the place where it is looked for first.
    const last = this.#items.length - 1;
    for (let place = (gap + 1) & last; this.#items[place] !== undefined; place = (place + 1) & last) {
      const hash = this.#hashes[place] ?? 0;
      const wayToPlace = (place - hash) & last;
      const wayFromGap = (place - gap) & last;
      if (wayToPlace < wayFromGap) continue;
      this.#items[gap] = this.#items[place];
      this.#hashes[gap] = hash;
      gap = place;
    }
    this.#items[gap] = undefined;
  }

  /** The place of the id, or the free one where it belongs. */
  #find(id: string, hash: number): number {
    const last = this.#items.length - 1;
    let place = hash & last;
    for (;;) {
      const item = this.#items[place];
      if (item === undefined || (this.#hashes[place] === hash && item.id === id)) return place;
      place = (place + 1) & last;
    }
  }

  #grow(): void {
    const [items, hashes] = [this.#items, this.#hashes];
    this.#items = new Array<T | undefined>(items.length * 2).fill(undefined);
    this.#hashes = new Int32Array(items.length * 2);
    const last = this.#items.length - 1;
    for (let from = 0; from < items.length; from += 1) {
      if (items[from] === undefined) continue;
      const hash = hashes[from] ?? 0;
      let place = hash & last;
      while (this.#items[place] !== undefined) place = (place + 1) & last;
      this.#items[place] = items[from];
      this.#hashes[place] = hash;
    }
  }
}

/** From a random start, so that nobody can choose ids that all lie in one place. */
const SEED = randomInt(2 ** 32);

/** FNV-1a, with its bits mixed once more: ids often differ in their last characters only. */
function hashOf(text: string): number {
  let hash = SEED | 0;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return hash ^ (hash >>> 13);
}
