import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import type { Peer } from './peer.js';
import { RateLimits } from './rate-limits.js';

const from = (address: string): Peer => ({ kind: 'remote', address, svid: undefined });
const never = new AbortController().signal;

function limits(clock: Clock, trustedProxies: readonly string[] = []): RateLimits {
  return new RateLimits({
    clock,
    perSecond: { attestation: 1, signing: 500, status: undefined },
    trustedProxies,
  });
}

describe('RateLimits', () => {
  it('lets a source wait its turn, then refuses with the time after which to try again', async () => {
    const clock = new FakeClock();
    const rateLimits = limits(clock);
    const outcomes: string[] = [];
    const attempts = Array.from({ length: 8 }, (_, index) =>
      rateLimits.take('attestation', from('192.0.2.1'), 1, never).then(
        () => outcomes.push(`taken ${index}`),
        (error: unknown) => {
          expect(hasReason(error, 'resource_exhausted') && error.retryAfterMs).toBeGreaterThan(5000);
          outcomes.push(`refused ${index}`);
        },
      ),
    );
    await new Promise(setImmediate);
    expect(outcomes.sort()).toEqual(['refused 6', 'refused 7', 'taken 0']);
    for (let second = 0; second < 5; second += 1) await clock.advance(1000);
    await Promise.all(attempts);
    expect(outcomes.filter((outcome) => outcome.startsWith('taken'))).toHaveLength(6);
  });

  it('has an agent with 10,000 SVIDs signed as fast as it may, when it comes back as it is told', async () => {
    const clock = new FakeClock();
    const rateLimits = limits(clock);
    let taken = 0;
    let refused = 0;
    const batch = async (): Promise<void> => {
      for (;;) {
        try {
          await rateLimits.take('signing', from('192.0.2.1'), 500, never);
          taken += 500;
          return;
        } catch (error) {
          if (!hasReason(error, 'resource_exhausted') || error.retryAfterMs === undefined) throw error;
          refused += 1;
          await sleep(clock, error.retryAfterMs);
        }
      }
    };
    const batches = Array.from({ length: 20 }, batch);
    for (let second = 0; second < 25; second += 1) await clock.advance(1000);
    await Promise.all(batches);
    expect(taken).toBe(10_000);
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThan(100);
  });

  it('counts each source and each kind for itself', async () => {
    const rateLimits = limits(new FakeClock());
    await rateLimits.take('attestation', from('192.0.2.1'), 1, never);
    await rateLimits.take('attestation', from('192.0.2.2'), 1, never);
    await rateLimits.take('attestation', from('2001:db8::1'), 1, never);
    await rateLimits.take('signing', from('192.0.2.1'), 500, never);
    await rateLimits.take('status', from('192.0.2.1'), 1_000_000, never);
  });

  it('takes the addresses of one IPv6 network for one source', () => {
    const rateLimits = limits(new FakeClock());
    for (const address of [
      '2001:db8::1',
      '2001:db8::ffff:1',
      '2001:db8:0:0:1:2:3:4',
      '::1',
      '2001:db8:1::1',
    ]) {
      void rateLimits.take('attestation', from(address), 1, AbortSignal.abort()).catch(() => undefined);
    }
    expect(rateLimits.size).toBe(3);
  });

  it('refuses at once what is larger than a burst', async () => {
    await expect(limits(new FakeClock()).take('signing', from('192.0.2.1'), 501, never)).rejects.toThrow(
      'rate (501) exceeds burst size (500)',
    );
  });

  it('gives the turn of a caller who left to the next one', async () => {
    const clock = new FakeClock();
    const rateLimits = limits(clock);
    await rateLimits.take('attestation', from('192.0.2.1'), 1, never);
    const gone = new AbortController();
    const waiting = rateLimits.take('attestation', from('192.0.2.1'), 1, gone.signal);
    gone.abort();
    await expect(waiting).rejects.toThrow('cancelled');
    await clock.advance(1000);
    await rateLimits.take('attestation', from('192.0.2.1'), 1, never);
  });

  it('spares local callers and those behind a trusted proxy', async () => {
    const rateLimits = limits(new FakeClock(), ['10.0.0.0/8', '2001:db8::/32', '192.0.2.9']);
    const peers: Peer[] = [
      { kind: 'local', uid: 0, pid: 1 },
      from('10.1.2.3'),
      from('2001:db8::7'),
      from('192.0.2.9'),
    ];
    for (const peer of peers) {
      for (let round = 0; round < 10; round += 1) await rateLimits.take('attestation', peer, 1, never);
    }
    expect(rateLimits.size).toBe(0);
  });

  it('forgets sources that have been idle, and never remembers more than its table holds', async () => {
    const clock = new FakeClock();
    const rateLimits = limits(clock);
    for (let index = 0; index < 60_000; index += 1) {
      await rateLimits.take(
        'attestation',
        from(`192.${index >> 16}.${(index >> 8) & 255}.${index & 255}`),
        1,
        never,
      );
    }
    expect(rateLimits.size).toBeLessThanOrEqual(50_001);
    await clock.advance(10_000);
    for (let index = 0; index < 40; index += 1) {
      await rateLimits.take('attestation', from('198.51.100.1'), 1, never);
      await clock.advance(1000);
    }
    // Each call forgets up to two.
    expect(rateLimits.size).toBeLessThanOrEqual(50_001 - 70);
  });
});
