import { BonafideError, hasReason, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { explainFailure, isDistrust } from './explain-failure.js';
import { untilItWorks } from './until-it-works.js';

const never = new AbortController().signal;

function start(
  clock: FakeClock,
  failures: readonly BonafideError[],
  limitMs: number | undefined,
): { attempts: () => number; result: Promise<unknown> } {
  let attempts = 0;
  const result = untilItWorks(
    () => {
      const failure = failures[attempts];
      attempts += 1;
      return failure === undefined ? Promise.resolve() : Promise.reject(failure);
    },
    {
      what: 'the work',
      limitMs,
      explain: (error) => `because ${String(error)}`,
      random: () => 0.5,
      clock,
      log: silentLogger,
    },
    never,
  ).catch((error: unknown) => error);
  return { attempts: () => attempts, result };
}

const failure = (reason: Reason, retryAfterMs?: number): BonafideError =>
  new BonafideError(reason, 'no', retryAfterMs === undefined ? {} : { retryAfterMs });

describe('untilItWorks', () => {
  it('tries again with growing pauses', async () => {
    const clock = new FakeClock();
    const { attempts, result } = start(clock, [failure('unavailable'), failure('unavailable')], undefined);
    await clock.advance(540);
    expect(attempts()).toBe(1);
    await clock.advance(20);
    expect(attempts()).toBe(2);
    await clock.advance(1_200);
    expect(attempts()).toBe(3);
    expect(await result).toBeUndefined();
  });

  it('does not try again what cannot succeed', async () => {
    const { attempts, result } = start(new FakeClock(), [failure('invalid_argument')], undefined);
    const error = await result;
    expect(hasReason(error, 'invalid_argument')).toBe(true);
    expect(String(error)).toContain('the work failed: because');
    expect(attempts()).toBe(1);
  });

  it('waits for an operator as long as it takes, ever more slowly', async () => {
    const clock = new FakeClock();
    const waiting = Array.from({ length: 8 }, () => failure('agent_pending'));
    const { attempts, result } = start(clock, [...waiting, failure('unavailable')], 60_000);
    // Between half and all of 5, 10, 20, 40, 60, 60, ... seconds.
    for (const [index, seconds] of [3.75, 7.5, 15, 30, 45, 45, 45, 45].entries()) {
      await clock.advance(seconds * 1_000 - 1);
      expect(attempts()).toBe(index + 1);
      await clock.advance(1);
      expect(attempts()).toBe(index + 2);
    }
    // The server is there: that it is away now is news.
    await clock.advance(1_000);
    expect(await result).toBeUndefined();
    expect(attempts()).toBe(10);
  });

  it('asks every few seconds whether the node is out of quarantine', async () => {
    const clock = new FakeClock();
    const { attempts, result } = start(
      clock,
      Array.from({ length: 20 }, () => failure('agent_quarantined')),
      60_000,
    );
    for (let elapsed = 0; elapsed < 200; elapsed += 1) await clock.advance(1_000);
    expect(attempts()).toBe(21);
    expect(await result).toBeUndefined();
  });

  it('gives up at its limit', async () => {
    const clock = new FakeClock();
    const { attempts, result } = start(
      clock,
      Array.from({ length: 99 }, () => failure('unavailable')),
      60_000,
    );
    await clock.advance(120_000);
    expect(hasReason(await result, 'unavailable')).toBe(true);
    expect(attempts()).toBeGreaterThan(4);
    expect(attempts()).toBeLessThan(10);
  });

  it('leaves the server alone for as long as it asks', async () => {
    const clock = new FakeClock();
    const { attempts } = start(clock, [failure('resource_exhausted', 20_000)], undefined);
    await clock.advance(20_000);
    expect(attempts()).toBe(1);
    await clock.advance(20_000 / 4);
    expect(attempts()).toBe(2);
  });

  it('waits beyond its limit for a server that says when to come again', async () => {
    const clock = new FakeClock();
    const { attempts, result } = start(clock, [failure('resource_exhausted', 90_000)], 60_000);
    await clock.advance(120_000);
    expect(await result).toBeUndefined();
    expect(attempts()).toBe(2);
  });
});

describe('explainFailure', () => {
  const context = { address: { host: '::1', port: 8081 }, bundlePlace: 'b.pem' };
  const text = (reason: Reason, message: string): string =>
    explainFailure(new BonafideError(reason, message), context);

  it('tells a server that is away from one that is not ours', () => {
    const away =
      'No connection established. Last error: connect ECONNREFUSED ::1:8081. Resolution note: something long';
    expect(text('unavailable', away)).toBe(
      'cannot reach the server at [::1]:8081: connect ECONNREFUSED ::1:8081',
    );
    const wrong = 'No connection established. Last error: self-signed certificate in certificate chain';
    expect(text('unavailable', wrong)).toBe(
      'the server at [::1]:8081 is not one that the trust bundle b.pem vouches for: self-signed certificate in certificate chain',
    );
    expect(isDistrust(new BonafideError('unavailable', wrong))).toBe(true);
    expect(isDistrust(new BonafideError('unavailable', away))).toBe(false);
  });

  it('leaves other refusals as the server put them', () => {
    expect(text('permission_denied', 'agent is banned')).toBe('agent is banned');
    expect(text('invalid_argument', 'join token expired')).toMatch(/^join token expired; .*token generate/);
  });
});
