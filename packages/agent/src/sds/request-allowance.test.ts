import { describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { RequestAllowance } from './request-allowance.js';

function taken(allowance: RequestAllowance, most = 1000): number {
  for (let count = 0; count < most; count += 1) {
    try {
      allowance.take();
    } catch {
      return count;
    }
  }
  return most;
}

describe('the allowance of a stream', () => {
  it('is 200 at once, 20 a second after that, and one for each response', async () => {
    const clock = new FakeClock();
    const allowance = new RequestAllowance(clock);
    expect(taken(allowance)).toBe(200);
    await clock.advance(1000);
    expect(taken(allowance)).toBe(20);
    allowance.give();
    expect(taken(allowance)).toBe(1);
    await clock.advance(3_600_000);
    allowance.give();
    expect(taken(allowance)).toBe(200);
  });
});
