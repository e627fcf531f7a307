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
