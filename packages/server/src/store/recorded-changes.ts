/** What a transaction has changed so far: each change once, and beyond a bound only that anything may have changed. */
import type { Change } from './change.js';

/** A row of the log, and the memory of each who reads it, are a dozen megabytes at most. */
export const MOST_CHANGES = 50_000;

export class RecordedChanges {
  readonly #most: number;
  readonly #changes = new Map<string, Change>();
  #isEverything = false;

  constructor(most = MOST_CHANGES) {
    this.#most = most;
  }

  add(change: Change): void {
    if (this.#isEverything) return;
    this.#changes.set(JSON.stringify(change), change);
    if (this.#changes.size <= this.#most) return;
    this.#isEverything = true;
    this.#changes.clear();
  }

  get all(): readonly Change[] {
    return this.#isEverything ? [{ kind: 'everything' }] : [...this.#changes.values()];
  }
}
