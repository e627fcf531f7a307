import { describe, expect, it, vi } from 'vitest';
import { silentLogger } from './logger.js';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { RefusalLog } from './refusal-log.js';

describe('refusal log', () => {
  it('writes each kind at most once in ten seconds, and says how many lines it left out', async () => {
    const clock = new FakeClock();
    const warn = vi.fn();
    const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { warn });
    const refusals = new RefusalLog<'first' | 'second'>({ clock, log });
    for (let count = 0; count < 100; count += 1) refusals.warn('first', { count }, 'refused');
    refusals.warn('second', {}, 'also refused');
    expect(warn.mock.calls).toEqual([
      [{ count: 0 }, 'refused'],
      [{}, 'also refused'],
    ]);
    await clock.advance(10_000);
    refusals.warn('first', { count: 100 }, 'refused');
    refusals.warn('second', {}, 'also refused');
    expect(warn.mock.calls.slice(2)).toEqual([
      [{ count: 100, unlogged: 99 }, 'refused'],
      [{}, 'also refused'],
    ]);
  });
});
