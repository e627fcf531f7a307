import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renewalTime, renewalTimeOfNew, renewalTimeOfStored } from './renewal-time.js';

const HOUR = 3600_000;
const from = new Date('2030-01-01T00:00:00Z');
const after = (ms: number): Date => new Date(from.getTime() + ms);

describe('renewalTime', () => {
  it('is half the lifetime before the end, give or take a tenth of that', () => {
    const policy = (random: number) => ({ availabilityTargetSeconds: undefined, random: () => random });
    expect(renewalTime(from, after(HOUR), policy(0.5))).toEqual(after(HOUR / 2));
    expect(renewalTime(from, after(HOUR), policy(0))).toEqual(after(HOUR - (HOUR / 2) * 0.9));
    expect(renewalTime(from, after(HOUR), policy(0.999999)).getTime()).toBeCloseTo(
      after(HOUR - (HOUR / 2) * 1.1).getTime(),
      -1,
    );
  });

  it('leaves the availability target, and up to ten minutes more, when the lifetime is long enough', () => {
    const policy = { availabilityTargetSeconds: 24 * 3600, random: () => 0.5 };
    expect(renewalTime(from, after(48 * HOUR), policy)).toEqual(after(24 * HOUR - 300_000));
  });

  it('falls back to half the lifetime when the target would leave less than twelve hours of use', () => {
    const policy = { availabilityTargetSeconds: 24 * 3600, random: () => 0.5 };
    expect(renewalTime(from, after(36 * HOUR), policy)).toEqual(after(18 * HOUR));
  });

  it('lies within the lifetime, whatever the lifetime', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 * 24 * HOUR }),
        fc.double({ min: 0, max: 0.999_999, noNaN: true }),
        fc.option(fc.integer({ min: 24 * 3600, max: 400 * 24 * 3600 }), { nil: undefined }),
        (lifetimeMs, random, availabilityTargetSeconds) => {
          const policy = { availabilityTargetSeconds, random: () => random };
          const at = renewalTime(from, after(lifetimeMs), policy).getTime();
          expect(at).toBeGreaterThanOrEqual(from.getTime());
          expect(at).toBeLessThanOrEqual(after(lifetimeMs).getTime());
        },
      ),
    );
  });

  it('is at once for an SVID that is over already', () => {
    const policy = { availabilityTargetSeconds: undefined, random: () => 0.5 };
    expect(renewalTime(after(HOUR), from, policy)).toEqual(from);
  });
});

describe('with clocks that differ', () => {
  const policy = { availabilityTargetSeconds: undefined, random: () => 0.5 };
  const svid = { notBefore: from, notAfter: after(HOUR) };

  it('renews a new SVID after half of its life when this clock is behind', () => {
    expect(renewalTimeOfNew(svid, after(-2 * HOUR), policy)).toEqual(after(-1.5 * HOUR));
    expect(renewalTimeOfNew(svid, from, policy)).toEqual(after(HOUR / 2));
  });

  it('renews a new SVID in time when this clock is ahead, but not again and again', () => {
    expect(renewalTimeOfNew(svid, after(HOUR / 2), policy)).toEqual(after(HOUR * 0.75));
    expect(renewalTimeOfNew(svid, after(HOUR - 1), policy)).toEqual(after(HOUR - 1 + HOUR / 60));
    expect(renewalTimeOfNew(svid, after(5 * HOUR), policy)).toEqual(after(5 * HOUR + HOUR / 60));
  });

  it('renews at once an SVID of an earlier run that has yet to begin', () => {
    expect(renewalTimeOfStored(svid, after(-1), policy)).toEqual(after(-1));
    expect(renewalTimeOfStored(svid, after(HOUR / 4), policy)).toEqual(after(HOUR / 2));
  });
});

describe('a thousand SVIDs that begin together', () => {
  const COUNT = 1000;
  const MINUTE = 60_000;

  /** The same numbers each time, so that a failure can be looked at. */
  function seeded(seed: number): () => number {
    let state = seed;
    return () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state / 2 ** 32;
    };
  }

  /** When each is renewed for the nth time; whoever is renewed starts a new life at once. */
  function renewals(lifetimeMs: number, target: number | undefined, generations: number): readonly Date[] {
    return Array.from({ length: COUNT }, (_, agent) => {
      const policy = { availabilityTargetSeconds: target, random: seeded(agent * 7919 + 1) };
      let at = from;
      for (let generation = 0; generation < generations; generation += 1) {
        at = renewalTimeOfNew({ notBefore: at, notAfter: new Date(at.getTime() + lifetimeMs) }, at, policy);
      }
      return at;
    });
  }

  /** The most that fall into any of the slices of this length. */
  function busiest(times: readonly Date[], sliceMs: number): number {
    const slices = new Map<number, number>();
    for (const time of times) {
      const slice = Math.floor(time.getTime() / sliceMs);
      slices.set(slice, (slices.get(slice) ?? 0) + 1);
    }
    return Math.max(...slices.values());
  }

  it.each([
    ['an hour', HOUR, undefined, 30_000, 6 * MINUTE],
    ['five minutes', HOUR / 12, undefined, 2_500, 30_000],
    ['two days with a target of one', 48 * HOUR, 24 * 3600, 50_000, 10 * MINUTE],
  ])('of %s are renewed spread evenly', (_life, lifetimeMs, target, sliceMs, windowMs) => {
    const times = renewals(lifetimeMs, target, 1);
    const sorted = times.map((time) => time.getTime()).toSorted((a, b) => a - b);
    const widthMs = (sorted.at(-1) ?? 0) - (sorted[0] ?? 0);
    expect(widthMs).toBeGreaterThan(windowMs * 0.97);
    expect(widthMs).toBeLessThanOrEqual(windowMs);
    // 12 slices, and one more where they are cut: 83 in each if they were spread by a ruler.
    expect(busiest(times, sliceMs)).toBeLessThan(125);
  });

  it('drift further apart with every renewal', () => {
    const first = busiest(renewals(HOUR, undefined, 1), MINUTE);
    const fifth = busiest(renewals(HOUR, undefined, 5), MINUTE);
    const twentieth = busiest(renewals(HOUR, undefined, 20), MINUTE);
    expect(first).toBeLessThan(220);
    expect(fifth).toBeLessThan(first / 1.5);
    expect(twentieth).toBeLessThan(fifth / 1.5);
  });
});
