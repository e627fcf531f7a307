import { describe, expect, it } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { SigningWindow } from './signing-window.js';

describe('SigningWindow', () => {
  it('runs no more at once than it has places, in the order of arrival', async () => {
    const window = new SigningWindow(3);
    const order: number[] = [];
    let running = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 3000 }, (_, index) =>
        window.run(async () => {
          order.push(index);
          running += 1;
          most = Math.max(most, running);
          await Promise.resolve();
          running -= 1;
        }),
      ),
    );
    expect(most).toBe(3);
    expect(order).toEqual([...order].sort((left, right) => left - right));
  });

  it('gives the place back when the work fails', async () => {
    const window = new SigningWindow(1);
    await expect(window.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    await expect(window.run(() => Promise.resolve('yes'))).resolves.toBe('yes');
  });

  it('turns away whoever would wait too long, and says when to come back', async () => {
    const window = new SigningWindow(1, 2);
    let open = (): void => undefined;
    const opened = new Promise<void>((resolve) => (open = resolve));
    const accepted = [1, 2, 3].map(() => window.run(() => opened));
    const refused = window.run(() => opened);
    await expect(refused).rejects.toBeInstanceOf(BonafideError);
    await expect(refused).rejects.toMatchObject({ reason: 'resource_exhausted', retryAfterMs: 1000 });
    open();
    await Promise.all(accepted);
    await expect(window.run(() => Promise.resolve('yes'))).resolves.toBe('yes');
  });
});
