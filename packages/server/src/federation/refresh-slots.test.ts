import { expect, it } from 'vitest';
import { RefreshSlots } from './refresh-slots.js';

const ever = new AbortController().signal;

it('runs so many at once, and the others in the order in which they came', async () => {
  const slots = new RefreshSlots(2);
  const began: number[] = [];
  const ends: (() => void)[] = [];
  const runs = [0, 1, 2, 3].map((number) =>
    slots.run(ever, () => {
      began.push(number);
      return new Promise<void>((resolve) => ends.push(resolve));
    }),
  );
  for (let ended = 0; ended < runs.length; ended += 1) {
    expect(began).toEqual([0, 1, 2, 3].slice(0, ended + 2));
    ends[ended]?.();
    await runs[ended];
    await Promise.resolve();
  }
});

it('lets go at once of those who give up while they wait, and their slot goes to the next', async () => {
  const slots = new RefreshSlots(1);
  let end = (): void => undefined;
  const first = slots.run(ever, () => new Promise<void>((resolve) => (end = resolve)));
  const impatient = new AbortController();
  const second = slots.run(impatient.signal, () => Promise.reject(new Error('never runs')));
  const third = slots.run(ever, () => Promise.resolve('third'));
  impatient.abort();
  await expect(second).rejects.toMatchObject({ reason: 'cancelled' });
  end();
  await first;
  expect(await third).toBe('third');
  await expect(slots.run(impatient.signal, () => Promise.resolve())).rejects.toMatchObject({
    reason: 'cancelled',
  });
  expect(await slots.run(ever, () => Promise.resolve('free again'))).toBe('free again');
});

it('frees the slot of work that fails', async () => {
  const slots = new RefreshSlots(1);
  await expect(slots.run(ever, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await slots.run(ever, () => Promise.resolve(1))).toBe(1);
});
