/** When a bundle is asked for again (SPIFFE Federation section 4.1): after its refresh hint, within bounds of our own. */

/** Section 4.1: without a hint. */
const DEFAULT_SECONDS = 300;
/** However short a hint a foreign trust domain may give. */
const SHORTEST_SECONDS = 5;
/** However long: revoked keys must not be believed for weeks. */
const LONGEST_SECONDS = 24 * 3600;
/** The first wait after a failure, unless bundles are asked for more often. */
const FIRST_RETRY_MS = 15_000;
/** Many servers that were started together must not ask together. */
const SPREAD = 0.1;

export function refreshIntervalMs(refreshHintSeconds: number | undefined): number {
  const seconds = refreshHintSeconds ?? DEFAULT_SECONDS;
  return Math.min(Math.max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS) * 1000;
}

/** @param random in [0, 1). */
export function nextRefreshMs(intervalMs: number, random: number): number {
  return intervalMs * (1 - SPREAD * random);
}

/** Never more often than in good times (section 6.2) beyond the first few attempts, and never less. */
export function retryBounds(intervalMs: number): { readonly initialMs: number; readonly maximumMs: number } {
  return { initialMs: Math.min(FIRST_RETRY_MS, intervalMs), maximumMs: intervalMs };
}
