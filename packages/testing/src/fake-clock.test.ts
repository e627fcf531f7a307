/** FakeClock keeps the promises of Clock. */
import { sleep } from '@bonafide/shared/runtime/clock';
import { describe, expect, it } from 'vitest';
import { FakeClock } from './fake-clock.js';

describe('FakeClock', () => {
  it('fires due timers in the order in which they fall due, each at its own time', async () => {
    const clock = new FakeClock();
    const fired: string[] = [];
    const note = (name: string) => () => fired.push(`${name}@${clock.monotonicMs()}`);
    clock.schedule(300, note('c'));
    clock.schedule(100, note('a'));
    clock.schedule(100, note('b'));
    clock.schedule(301, note('never'));
    await clock.advance(300);
    expect(fired).toEqual(['a@100', 'b@100', 'c@300']);
    expect(clock.nextTimerMs).toBe(1);
  });

  it('fires timers that others make on the way, after promises settled', async () => {
    const clock = new FakeClock();
    const loop = (async () => {
      for (let turn = 0; turn < 5; turn += 1) await sleep(clock, 10);
      return clock.monotonicMs();
    })();
    await clock.advance(1_000);
    expect(await loop).toBe(50);
    expect(clock.monotonicMs()).toBe(1_000);
  });

  it('does not fire a cancelled timer', async () => {
    const clock = new FakeClock();
    const timer = clock.schedule(10, () => expect.unreachable());
    timer.cancel();
    await clock.advance(20);
    expect(clock.pendingTimers).toBe(0);
  });

  it('lets the wall clock jump without monotonic time noticing', async () => {
    const clock = new FakeClock(new Date('2030-01-01T00:00:00Z'));
    clock.jumpWallClock(-3_600_000);
    await clock.advance(1_000);
    expect(clock.now().toISOString()).toBe('2029-12-31T23:00:01.000Z');
    expect(clock.monotonicMs()).toBe(1_000);
  });

  it('stops a loop without a pause', async () => {
    const clock = new FakeClock();
    const again = (): void => void clock.schedule(0, again);
    again();
    await expect(clock.advance(1)).rejects.toThrow('a loop without a pause');
  });
});
