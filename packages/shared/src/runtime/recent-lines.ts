/** The last lines of something that never ends, within bounds of number and length. */

const MOST_LINES = 200;
const LONGEST_LINE = 4096;

export class RecentLines {
  readonly #lines: string[] = [];
  #dropped = 0;

  add(line: string): void {
    const text = line.trimEnd();
    this.#lines.push(text.length <= LONGEST_LINE ? text : `${text.slice(0, LONGEST_LINE)}…`);
    if (this.#lines.length <= MOST_LINES) return;
    this.#lines.shift();
    this.#dropped += 1;
  }

  /** The oldest first. */
  get lines(): readonly string[] {
    return [...this.#lines];
  }

  /** How many came before those that are held. */
  get dropped(): number {
    return this.#dropped;
  }
}
