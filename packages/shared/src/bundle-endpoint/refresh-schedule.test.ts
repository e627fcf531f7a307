import { expect, it } from 'vitest';
import { nextRefreshMs, refreshIntervalMs, retryBounds } from './refresh-schedule.js';

it.each([
  [undefined, 300_000],
  [0, 5_000],
  [1, 5_000],
  [60, 60_000],
  [2_419_200, 86_400_000],
  [Number.MAX_SAFE_INTEGER, 86_400_000],
])('a hint of %s seconds becomes %i ms', (hint, expected) => {
  expect(refreshIntervalMs(hint)).toBe(expected);
});

it('spreads refreshes, never later than the hint', () => {
  expect(nextRefreshMs(1000, 0)).toBe(1000);
  expect(nextRefreshMs(1000, 0.999)).toBeGreaterThanOrEqual(900);
});

it('retries sooner than it refreshes at first, and never less often', () => {
  expect(retryBounds(300_000)).toEqual({ initialMs: 15_000, maximumMs: 300_000 });
  expect(retryBounds(5_000)).toEqual({ initialMs: 5_000, maximumMs: 5_000 });
});
