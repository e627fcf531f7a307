import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LatestValue } from './latest-value.js';

const never = new AbortController().signal;

describe('latest value', () => {
  it('gives what was set before or while the reader waits, once', async () => {
    const latest = new LatestValue<number>();
    latest.set(1);
    expect(await latest.take(never)).toBe(1);
    const next = latest.take(never);
    latest.set(2);
    expect(await next).toBe(2);
  });

  it('forgets what a slow reader missed', async () => {
    const latest = new LatestValue<number>();
    for (let value = 0; value <= 1000; value += 1) latest.set(value);
    expect(await latest.take(never)).toBe(1000);
  });

  it('always ends with the last value, in order, however reader and writer take turns', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 50 }), async (turns) => {
        const latest = new LatestValue<number>();
        const end = new AbortController();
        const taken: number[] = [];
        const reader = (async () => {
          for (;;) taken.push(await latest.take(end.signal));
        })().catch(() => undefined);
        for (const [value, pauses] of turns.entries()) {
          latest.set(value);
          if (pauses) await new Promise((resolve) => setImmediate(resolve));
        }
        await new Promise((resolve) => setImmediate(resolve));
        end.abort();
        await reader;
        expect(taken.at(-1)).toBe(turns.length - 1);
        expect(taken).toEqual([...taken].sort((left, right) => left - right));
      }),
      { numRuns: 50 },
    );
  });

  it('ends with the error, also when a value was not yet taken, and for good', async () => {
    const latest = new LatestValue<number>();
    const waiting = latest.take(never);
    latest.fail(new Error('over'));
    await expect(waiting).rejects.toThrow('over');
    latest.set(1);
    await expect(latest.take(never)).rejects.toThrow('over');
  });

  it('stops waiting with the signal', async () => {
    const latest = new LatestValue<number>();
    const end = new AbortController();
    const waiting = latest.take(end.signal);
    end.abort();
    await expect(waiting).rejects.toMatchObject({ reason: 'cancelled' });
    latest.set(1);
    await expect(latest.take(end.signal)).rejects.toMatchObject({ reason: 'cancelled' });
  });
});
