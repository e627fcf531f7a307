import { describe, expect, it, vi } from 'vitest';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, parseSelector, type Selector } from '@bonafide/shared/registration/selector';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createWorkloadAttestation } from './attest-workload.js';
import type { HeldProcess } from './attested-process.js';
import type { WorkloadAttestor } from './workload-attestor.js';

class FakeProcess implements HeldProcess {
  readonly pid = 42;
  readonly uid = 1000;
  readonly gid = 1000;
  readonly procPath = '/nowhere';
  alive = true;
  closed = 0;

  isAlive(): boolean {
    return this.alive && this.closed === 0; // as of a process that is held by its pid
  }

  close(): void {
    this.closed += 1;
  }
}

function proves(...selectors: readonly string[]): WorkloadAttestor {
  return { attest: () => Promise.resolve(selectors.map(parseSelector)) };
}

function fails(error: Error): WorkloadAttestor {
  return { attest: () => Promise.reject(error) };
}

/** Never answers, and ends only when told to by the returned function. */
function hangs(): { attestor: WorkloadAttestor; signals: AbortSignal[]; release: () => void } {
  const signals: AbortSignal[] = [];
  let release = (): void => undefined;
  const promise = new Promise<[]>((resolve) => {
    release = () => {
      resolve([]);
    };
  });
  return {
    attestor: {
      attest: (_process, signal) => {
        signals.push(signal);
        return promise;
      },
    },
    signals,
    release,
  };
}

function setUp(attestors: Readonly<Record<string, WorkloadAttestor>>) {
  const clock = new FakeClock();
  const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { error: vi.fn() });
  const attestation = createWorkloadAttestation({
    attestors: new Map(Object.entries(attestors)),
    clock,
    log,
    timeLimitMs: 1000,
  });
  const process = new FakeProcess();
  const abort = new AbortController();
  const attest = (): Promise<readonly string[]> =>
    attestation(process, { requestId: 'request-1', signal: abort.signal }).then((selectors) =>
      selectors.map(formatSelector),
    );
  return { attest, process, clock, log, abort };
}

describe('attesting a workload', () => {
  it('joins what all attestors prove, sorted and once', async () => {
    const { attest, process, log, clock } = setUp({ b: proves('b:2', 'b:1'), a: proves('a:1', 'b:1') });
    expect(await attest()).toEqual(['a:1', 'b:1', 'b:2']);
    await vi.waitFor(
      () => {
        expect(process.closed).toBe(1);
      },
      { timeout: 30_000 },
    );
    expect(log.error).not.toHaveBeenCalled();
    expect(clock.pendingTimers).toBe(0);
  });

  it('logs the one that fails with the request id, and goes on without it', async () => {
    const error = new Error('no such file');
    const { attest, log } = setUp({ good: proves('good:1'), bad: fails(error) });
    expect(await attest()).toEqual(['good:1']);
    expect(log.error).toHaveBeenCalledExactlyOnceWith(
      { request_id: 'request-1', attestor: 'bad', pid: 42, err: error },
      'workload attestor failed',
    );
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['text', 'unix:uid:0'],
    ['a list of text', ['unix:uid:0']],
    ['an empty place', [null]],
    ['no type', [{ type: '', value: 'uid:0' }]],
    ['a type that would pass for another', [{ type: 'unix:uid', value: '0' }]],
    ['a value that is no text', [{ type: 'unix', value: { toString: () => 'uid:0' } }]],
  ])('does without one that gives %s for selectors, and says so', async (_name, rubbish) => {
    const attestor = { attest: () => Promise.resolve(rubbish as readonly Selector[]) };
    const { attest, log } = setUp({ good: proves('good:1'), bad: attestor });
    expect(await attest()).toEqual(['good:1']);
    const fields = expect.objectContaining({ request_id: 'request-1', attestor: 'bad' }) as unknown;
    expect(log.error).toHaveBeenCalledExactlyOnceWith(fields, 'workload attestor failed');
  });

  it('does without one that throws before it promises anything', async () => {
    const thrower: WorkloadAttestor = {
      attest: () => {
        throw new Error('at once');
      },
    };
    const { attest, log, process } = setUp({ good: proves('good:1'), bad: thrower });
    expect(await attest()).toEqual(['good:1']);
    expect(log.error).toHaveBeenCalledTimes(1);
    await vi.waitFor(
      () => {
        expect(process.closed).toBe(1);
      },
      { timeout: 30_000 },
    );
  });

  it('fails when every one fails', async () => {
    const { attest, process } = setUp({ one: fails(new Error('1')), two: fails(new Error('2')) });
    await expect(attest()).rejects.toMatchObject({
      reason: 'unavailable',
      message: 'workload attestation failed',
    });
    expect(process.closed).toBe(1);
  });

  it('proves nothing when there is no attestor', async () => {
    const { attest, process } = setUp({});
    expect(await attest()).toEqual([]);
    await vi.waitFor(
      () => {
        expect(process.closed).toBe(1);
      },
      { timeout: 30_000 },
    );
  });

  it('does not wait longer than the limit for one that hangs, tells it so, and keeps the process open for it', async () => {
    const hanging = hangs();
    const { attest, process, clock, log } = setUp({ good: proves('good:1'), slow: hanging.attestor });
    const selectors = attest();
    await clock.advance(999);
    expect(hanging.signals[0]?.aborted).toBe(false);
    await clock.advance(1);
    expect(await selectors).toEqual(['good:1']);
    expect(hanging.signals[0]?.aborted).toBe(true);
    expect(log.error).toHaveBeenCalledTimes(1);
    expect(process.closed).toBe(0);
    hanging.release();
    await vi.waitFor(
      () => {
        expect(process.closed).toBe(1);
      },
      { timeout: 30_000 },
    );
  });

  it('believes nothing about a process that exited meanwhile', async () => {
    const { attest, process } = setUp({
      unix: {
        attest: () => {
          process.alive = false;
          return Promise.resolve([parseSelector('unix:uid:0')]);
        },
      },
    });
    await expect(attest()).rejects.toMatchObject({ reason: 'unauthenticated' });
    expect(process.closed).toBe(1);
  });

  it('takes the word of one attestor that the process is no longer who it was', async () => {
    const changed = new BonafideError('unauthenticated', 'the process changed its user');
    const { attest } = setUp({ good: proves('good:1'), unix: fails(changed) });
    await expect(attest()).rejects.toBe(changed);
  });

  it('ends at once, without a line in the log, when the caller goes away', async () => {
    const hanging = hangs();
    const { attest, abort, log, process } = setUp({ slow: hanging.attestor });
    const selectors = attest();
    abort.abort();
    await expect(selectors).rejects.toMatchObject({ reason: 'cancelled' });
    await expect(attest()).rejects.toMatchObject({ reason: 'cancelled' });
    expect(hanging.signals.every(({ aborted }) => aborted)).toBe(true);
    expect(log.error).not.toHaveBeenCalled();
    hanging.release();
    await vi.waitFor(
      () => {
        expect(process.closed).toBe(2);
      },
      { timeout: 30_000 },
    );
  });
});
