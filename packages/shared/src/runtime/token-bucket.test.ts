import { describe, expect, it } from 'vitest';
import { TokenBucket } from './token-bucket.js';

describe('TokenBucket', () => {
  it('gives its burst at once, then drips', () => {
    const bucket = new TokenBucket({ tokensPerSecond: 10, burst: 10 }, 0);
    expect(bucket.take(10, 0, 0)).toEqual({ isTaken: true, waitMs: 0 });
    expect(bucket.take(1, 0, 0)).toEqual({ isTaken: false, waitMs: 100 });
    expect(bucket.take(1, 100, 0)).toEqual({ isTaken: true, waitMs: 0 });
  });

  it('queues takers one behind the other up to the longest wait', () => {
    const bucket = new TokenBucket({ tokensPerSecond: 1, burst: 1 }, 0);
    const waits = Array.from({ length: 5 }, () => bucket.take(1, 0, 3000));
    expect(waits.map(({ isTaken, waitMs }) => [isTaken, waitMs])).toEqual([
      [true, 0],
      [true, 1000],
      [true, 2000],
      [true, 3000],
      [false, 4000],
    ]);
  });

  it('never holds more than its burst, and a clock that stands still or goes back gives nothing', () => {
    const bucket = new TokenBucket({ tokensPerSecond: 1, burst: 2 }, 1_000_000);
    expect(bucket.take(3, 9_000_000, 0).isTaken).toBe(false);
    expect(bucket.take(2, 9_000_000, 0).isTaken).toBe(true);
    expect(bucket.take(1, 1_000_000, 0).isTaken).toBe(false);
    expect(bucket.take(1, 9_000_000, 0).isTaken).toBe(false);
    bucket.giveBack(5);
    expect(bucket.isFull(9_000_000)).toBe(true);
    expect(bucket.take(3, 9_000_000, 0).isTaken).toBe(false);
  });
});
