import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { SetBacks } from './set-backs.js';

describe('SetBacks', () => {
  it('tells once by how much the clock was set back, and nothing of time that passes or of a clock set ahead', async () => {
    const clock = new FakeClock();
    const setBacks = new SetBacks(clock);
    expect(setBacks.take()).toBe(0);
    await clock.advance(60_000);
    expect(setBacks.take()).toBe(0);
    clock.jumpWallClock(3_600_000);
    expect(setBacks.take()).toBe(0);
    clock.jumpWallClock(-7_200_000);
    await clock.advance(30_000);
    expect(setBacks.take()).toBe(7_200_000);
    expect(setBacks.take()).toBe(0);
  });

  it('lets the clock be kept right in small steps, until they add up', () => {
    const clock = new FakeClock();
    const setBacks = new SetBacks(clock);
    const told: number[] = [];
    for (let step = 0; step < 5; step += 1) {
      clock.jumpWallClock(-900);
      told.push(setBacks.take());
    }
    expect(told).toEqual([0, 0, 2_700, 0, 0]);
  });
});
