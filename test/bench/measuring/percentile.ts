/** Where a share of many values lies. */

/** @param share 0.5 is the median, 1 the largest. @returns NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.ceil((sorted.length - 1) * share)] ?? Number.NaN;
}
