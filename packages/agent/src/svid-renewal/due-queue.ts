/** What falls due when: a binary heap in which each key has at most one time. */

interface Due {
  readonly key: string;
  readonly atMs: number;
}

export class DueQueue {
  readonly #heap: Due[] = [];
  /** The one item of each key that counts; others in the heap are left-overs of a time that was changed. */
  readonly #current = new Map<string, Due>();

  /** Replaces the key's earlier time, if it has one. */
  set(key: string, at: Date): void {
    const due = { key, atMs: at.getTime() };
    this.#current.set(key, due);
    this.#heap.push(due);
    this.#rise(this.#heap.length - 1);
    if (this.#heap.length > 64 && this.#heap.length > 2 * this.#current.size) this.#rebuild();
  }

  delete(key: string): void {
    this.#current.delete(key);
  }

  /** When the key falls due. */
  at(key: string): Date | undefined {
    const due = this.#current.get(key);
    return due === undefined ? undefined : new Date(due.atMs);
  }

  /** Makes every key fall due earlier by as much. */
  bringForward(ms: number): void {
    for (const [key, { atMs }] of this.#current) this.#current.set(key, { key, atMs: atMs - ms });
    this.#rebuild();
  }

  /** When the earliest key falls due. */
  next(): Date | undefined {
    this.#discardLeftOvers();
    const first = this.#heap[0];
    return first === undefined ? undefined : new Date(first.atMs);
  }

  /** The key that falls due first. */
  firstKey(): string | undefined {
    this.#discardLeftOvers();
    return this.#heap[0]?.key;
  }

  /** Removes and returns the keys that are due at `now`, earliest first. */
  take(now: Date): string[] {
    const keys: string[] = [];
    for (;;) {
      this.#discardLeftOvers();
      const first = this.#heap[0];
      if (first === undefined || first.atMs > now.getTime()) return keys;
      this.#pop();
      this.#current.delete(first.key);
      keys.push(first.key);
    }
  }

  #discardLeftOvers(): void {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#current.get(first.key) === first) return;
      this.#pop();
    }
  }

  #rebuild(): void {
    this.#heap.length = 0;
    for (const due of this.#current.values()) {
      this.#heap.push(due);
      this.#rise(this.#heap.length - 1);
    }
  }

  #pop(): void {
    const last = this.#heap.pop();
    if (last === undefined || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #rise(start: number): void {
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(index, parent)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #sink(start: number): void {
    let index = start;
    for (;;) {
      const left = 2 * index + 1;
      const right = left + 1;
      let earliest = index;
      if (left < this.#heap.length && this.#isBefore(left, earliest)) earliest = left;
      if (right < this.#heap.length && this.#isBefore(right, earliest)) earliest = right;
      if (earliest === index) return;
      this.#swap(index, earliest);
      index = earliest;
    }
  }

  #isBefore(a: number, b: number): boolean {
    return (this.#heap[a]?.atMs ?? Infinity) < (this.#heap[b]?.atMs ?? Infinity);
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (x === undefined || y === undefined) return;
    this.#heap[a] = y;
    this.#heap[b] = x;
  }
}
