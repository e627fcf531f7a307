/** The entries that end by themselves, soonest first: a binary heap that knows where each of them stands, so that none is searched for. */
import type { GraphEntry } from './graph-entry.js';

export class ExpiryQueue {
  readonly #heap: GraphEntry[] = [];
  readonly #places = new Map<GraphEntry, number>();

  /** Milliseconds; undefined when no entry ever ends. */
  earliest(): number | undefined {
    return this.#heap[0]?.expiresAt;
  }

  /** Entries without an end are left out. */
  add(entry: GraphEntry): void {
    if (entry.expiresAt === undefined) return;
    this.#heap.push(entry);
    this.#rise(entry, this.#heap.length - 1);
  }

  delete(entry: GraphEntry): void {
    const place = this.#places.get(entry);
    if (place === undefined) return;
    this.#places.delete(entry);
    const last = this.#heap.pop();
    if (last === undefined || last === entry) return;
    // The last one takes the free place, and from there finds its own, up or down.
    this.#rise(last, place);
    this.#sink(last, this.#places.get(last) ?? place);
  }

  #rise(entry: GraphEntry, from: number): void {
    let place = from;
    while (place > 0) {
      const above = (place - 1) >> 1;
      const other = this.#heap[above];
      if (other === undefined || endOf(other) <= endOf(entry)) break;
      this.#put(other, place);
      place = above;
    }
    this.#put(entry, place);
  }

  #sink(entry: GraphEntry, from: number): void {
    let place = from;
    for (;;) {
      const left = place * 2 + 1;
      const [first, second] = [this.#heap[left], this.#heap[left + 1]];
      if (first === undefined) break;
      const isSecond = second !== undefined && endOf(second) < endOf(first);
      const sooner = isSecond ? second : first;
      if (endOf(sooner) >= endOf(entry)) break;
      this.#put(sooner, place);
      place = isSecond ? left + 1 : left;
    }
    this.#put(entry, place);
  }

  #put(entry: GraphEntry, place: number): void {
    this.#heap[place] = entry;
    this.#places.set(entry, place);
  }
}

function endOf(entry: GraphEntry): number {
  return entry.expiresAt ?? Infinity;
}
