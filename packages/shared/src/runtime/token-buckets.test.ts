import { describe, expect, it } from 'vitest';
import { TokenBuckets } from './token-buckets.js';

describe('TokenBuckets', () => {
  it('limit each source by itself', () => {
    const buckets = new TokenBuckets<string>({ tokensPerSecond: 1, burst: 2 });
    const take = (source: string, nowMs: number): boolean =>
      buckets.of(source, nowMs).take(1, nowMs, 0).isTaken;
    expect([take('a', 0), take('a', 0), take('a', 0)]).toEqual([true, true, false]);
    expect([take('b', 0), take('b', 0), take('b', 0)]).toEqual([true, true, false]);
    expect([take('a', 1000), take('a', 1000)]).toEqual([true, false]);
  });

  it('forget sources that were idle, and those longest unseen when there are too many', () => {
    const buckets = new TokenBuckets<number>({ tokensPerSecond: 1, burst: 1 });
    for (let source = 0; source < 1000; source += 1) buckets.of(source, 0).take(1, 0, 0);
    expect(buckets.size).toBe(1000);
    for (let call = 0; call < 1000; call += 1) buckets.of(-1, 5000);
    expect(buckets.size).toBe(1);
    for (let source = 0; source < 60_000; source += 1) buckets.of(source, 5000).take(1, 5000, 0);
    expect(buckets.size).toBeLessThanOrEqual(50_001);
  });
});
