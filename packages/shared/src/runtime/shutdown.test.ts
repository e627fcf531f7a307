import { describe, expect, it } from 'vitest';
import { Shutdown } from './shutdown.js';

describe('Shutdown', () => {
  it('runs its steps once, last in first out, each after the one before has finished', async () => {
    const shutdown = new Shutdown();
    const order: string[] = [];
    shutdown.add(() => order.push('first started'));
    shutdown.add(async () => {
      await new Promise(setImmediate);
      order.push('second started');
    });
    await Promise.all([shutdown.run(), shutdown.run()]);
    await shutdown.run();
    expect(order).toEqual(['second started', 'first started']);
  });

  it('tries everything, then tells what failed', async () => {
    const shutdown = new Shutdown();
    let isReached = false;
    shutdown.add(() => (isReached = true));
    shutdown.add(() => Promise.reject(new Error('two')));
    shutdown.add(() => {
      throw new Error('three');
    });
    const failure: unknown = await shutdown.run().catch((error: unknown) => error);
    expect(isReached).toBe(true);
    expect(failure).toBeInstanceOf(AggregateError);
    expect((failure as AggregateError).errors.map(String)).toEqual(['Error: three', 'Error: two']);
  });
});
