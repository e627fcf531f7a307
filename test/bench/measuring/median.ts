/** The middle of several rounds: what a busy neighbour does to one of them does not count. */

export function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}
