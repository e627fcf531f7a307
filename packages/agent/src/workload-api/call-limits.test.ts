import { describe, expect, it, vi } from 'vitest';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { endpointLimits, type EndpointLimits } from '../endpoints/endpoint-limits.js';
import { CallLimits, type LimitedCall } from './call-limits.js';

function setUp(set: Partial<EndpointLimits> = {}) {
  const clock = new FakeClock();
  const warn = vi.fn();
  const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { warn });
  const limits = new CallLimits({ limits: endpointLimits(set, 20_000), clock, log });
  const call = (uid: number): Promise<string> =>
    limits.within(callOf(uid), () => Promise.resolve('answered'));
  return { limits, clock, warn, call };
}

function callOf(uid: number): LimitedCall {
  return {
    peer: { credentials: { pid: 42, uid, gid: 0 } },
    requestId: `request of ${uid}`,
    signal: new AbortController().signal,
  };
}

/** @returns how many were answered. */
async function callAgain(times: number, call: () => Promise<string>): Promise<number> {
  const outcomes = await Promise.allSettled(Array.from({ length: times }, call));
  return outcomes.filter(({ status }) => status === 'fulfilled').length;
}

describe('limits of calls', () => {
  it('refuse calls of a user that come too fast, and tell when to come back; others are served', async () => {
    const { clock, warn, call } = setUp({ callsPerSecondPerUid: 10, maxStreamsPerUid: 20 });
    expect(await callAgain(20, () => call(1))).toBe(20);
    expect(await callAgain(5, () => call(1))).toBe(0);
    await expect(call(1)).rejects.toMatchObject({
      reason: 'resource_exhausted',
      retryAfterMs: 100,
      message: 'refused a call: user 1 makes more than 10 calls a second (request id request of 1)',
    });
    expect(await call(2)).toBe('answered');
    expect(warn.mock.calls).toEqual([
      [
        { request_id: 'request of 1', uid: 1, pid: 42 },
        'refused a call: user 1 makes more than 10 calls a second',
      ],
    ]);
    await clock.advance(100);
    expect(await callAgain(5, () => call(1))).toBe(1);
  });

  it('let every stream of a user come back at once, and stop a flood, unless told', async () => {
    const { clock, call } = setUp();
    expect(await callAgain(6500, () => call(1))).toBe(6500);
    let answered = 0;
    for (let second = 0; second < 3; second += 1) {
      await clock.advance(1000);
      answered += await callAgain(1000, () => call(1));
    }
    expect(answered).toBe(3 * 500);
    expect(await call(2)).toBe('answered');
  });

  it('refuse no faster than they let pass, so that a crowd that is refused waits', async () => {
    const { clock, call } = setUp({ callsPerSecondPerUid: 10, maxStreamsPerUid: 200 });
    expect(await callAgain(200, () => call(1))).toBe(200);
    let refused = 0;
    const crowd = Array.from({ length: 200 }, () =>
      call(1).catch(() => {
        refused += 1;
      }),
    );
    await clock.advance(0);
    expect(refused).toBe(10);
    await clock.advance(1000);
    expect(refused).toBe(20);
    await clock.advance(9000);
    await Promise.all(crowd);
    expect(refused).toBe(200);
    expect(clock.pendingTimers).toBe(0);
  });

  it('count a call that was refused for its open streams, too', async () => {
    const { limits } = setUp({ callsPerSecondPerUid: 1, maxStreamsPerUid: 3 });
    let end = (): void => undefined;
    const open = new Promise<void>((resolve) => {
      end = resolve;
    });
    const streams = Array.from({ length: 3 }, () => limits.within(callOf(1), () => open));
    const refused = limits.within(callOf(1), () => open).catch((error: unknown) => error);
    expect(hasReason(await refused, 'resource_exhausted')).toBe(true);
    end();
    await Promise.all(streams);
  });
});
