import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatestOnly } from './latest-only.js';

/** A taker that takes when told to. */
function setUp(): { latest: LatestOnly<number>; handed: number[]; take: () => void } {
  const handed: number[] = [];
  const waiting: (() => void)[] = [];
  const latest = new LatestOnly<number>((value, taken) => {
    handed.push(value);
    waiting.push(taken);
  });
  return { latest, handed, take: () => waiting.shift()?.() };
}

describe('latest only', () => {
  it('hands over at once when the taker is ready, and then what is newest', () => {
    const { latest, handed, take } = setUp();
    latest.set(1);
    expect(handed).toEqual([1]);
    for (const value of [2, 3, 4]) latest.set(value);
    expect(handed).toEqual([1]);
    take();
    expect(handed).toEqual([1, 4]);
    take();
    expect(handed).toEqual([1, 4]);
    latest.set(5);
    expect(handed).toEqual([1, 4, 5]);
  });

  it('always ends with the last value, in order, never two at a time, however setter and taker take turns', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 100 }), (turns) => {
        const { latest, handed, take } = setUp();
        let sets = 0;
        for (const isSet of turns) {
          if (isSet) latest.set((sets += 1));
          else take();
        }
        const before = handed.length;
        take();
        expect(handed.length - before).toBeLessThanOrEqual(1);
        if (sets > 0) expect(handed.at(-1)).toBe(sets);
        expect(handed).toEqual([...new Set(handed)].sort((left, right) => left - right));
      }),
    );
  });

  it('does not deepen the stack for a taker that is always ready and sets again', () => {
    let last = 0;
    const latest = new LatestOnly<number>((value, taken) => {
      last = value;
      if (value < 100_000) latest.set(value + 1);
      taken();
    });
    latest.set(1);
    expect(last).toBe(100_000);
  });
});
