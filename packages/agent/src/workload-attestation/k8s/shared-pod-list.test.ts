import { describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import type { PodList } from './pod-list.js';
import { SharedPodList, type PodListAnswer } from './shared-pod-list.js';

const never = (): AbortSignal => new AbortController().signal;

/** A kubelet that answers when told to. */
function scripted(pollIntervalMs = 500): {
  readonly clock: FakeClock;
  readonly shared: SharedPodList;
  readonly startedMs: number[];
  readonly answer: (result?: PodList | Error) => Promise<void>;
} {
  const clock = new FakeClock();
  const startedMs: number[] = [];
  const pending: { resolve(list: PodList): void; reject(error: Error): void }[] = [];
  const listPods = (): Promise<PodList> =>
    new Promise((resolve, reject) => {
      startedMs.push(clock.monotonicMs());
      pending.push({ resolve, reject });
    });
  return {
    ...{ clock, startedMs },
    shared: new SharedPodList({ listPods, pollIntervalMs, clock, log: silentLogger }),
    answer: async (result = { pods: [], unreadable: 0 }) => {
      const [request] = pending.splice(0, 1);
      if (request === undefined) throw new Error('nothing is asked');
      if (result instanceof Error) request.reject(result);
      else request.resolve(result);
      await clock.advance(0);
    },
  };
}

/** Settled values appear in the list. */
function collect<T>(promise: Promise<T>, into: T[]): void {
  void promise.then((value) => into.push(value));
}

describe('the shared list of pods', () => {
  it('is asked for once by a hundred at once', async () => {
    const { answer, shared, startedMs } = scripted();
    const all = Promise.all(Array.from({ length: 100 }, () => shared.next(undefined, never())));
    await answer();
    expect(new Set(await all).size).toBe(1);
    expect(startedMs).toEqual([0]);
  });

  it('is used again for half a second, counted from when it was asked for', async () => {
    const { answer, clock, shared, startedMs } = scripted(5_000);
    const first = shared.next(undefined, never());
    await clock.advance(300); // the answer takes its time
    await answer();
    await clock.advance(200);
    expect(await shared.next(undefined, never())).toBe(await first);
    await clock.advance(1);
    const second = shared.next(undefined, never());
    expect(startedMs).toEqual([0, 501]);
    await answer();
    expect(await second).not.toBe(await first);
  });

  it('gives nobody a list that was asked for long before: the next request is for all who came meanwhile', async () => {
    const { answer, clock, shared, startedMs } = scripted();
    const early: PodListAnswer[] = [];
    const late: PodListAnswer[] = [];
    collect(shared.next(undefined, never()), early);
    await clock.advance(2_000); // the kubelet stalls
    for (let count = 0; count < 50; count += 1) collect(shared.next(undefined, never()), late);
    await answer();
    expect([early.length, late.length, startedMs.length]).toEqual([1, 0, 2]);
    await answer();
    expect(late.map(({ startedMs: at }) => at)).toEqual(Array(50).fill(2_000));
    expect(startedMs).toEqual([0, 2_000]);
  });

  it('polls together for all who wait, an interval apart', async () => {
    const { answer, clock, shared, startedMs } = scripted(2_000);
    const all = Array.from({ length: 20 }, () => shared.next(undefined, never()));
    await answer();
    const answers = await Promise.all(all);
    const again = Promise.all(answers.map((seen) => shared.next(seen, never())));
    await clock.advance(1_999);
    expect(startedMs).toEqual([0]);
    await clock.advance(1);
    await answer();
    expect(new Set(await again).size).toBe(1);
    expect(startedMs).toEqual([0, 2_000]);
  });

  it('tells who polls of what another asked for earlier', async () => {
    const { answer, clock, shared, startedMs } = scripted(10_000);
    const first = shared.next(undefined, never());
    await answer();
    const polled: PodListAnswer[] = [];
    collect(shared.next(await first, never()), polled);
    await clock.advance(1_000);
    const fresh = shared.next(undefined, never());
    await answer();
    expect(polled).toEqual([await fresh]);
    expect(startedMs).toEqual([0, 1_000]);
    expect(clock.pendingTimers).toBe(0);
  });

  it('gives a failure to all, and asks no more often for it', async () => {
    const { answer, clock, shared, startedMs } = scripted();
    const all = Promise.all(Array.from({ length: 10 }, () => shared.next(undefined, never())));
    await answer(new Error('it is down'));
    expect(new Set((await all).map(({ outcome }) => outcome.kind))).toEqual(new Set(['failure']));
    const later = [shared.next(undefined, never()), shared.next((await all)[0], never())];
    expect((await later[0])?.outcome.kind).toBe('failure');
    await clock.advance(500);
    await answer();
    expect((await later[1])?.outcome.kind).toBe('pods');
    expect(startedMs).toEqual([0, 500]);
  });

  it('asks for nobody who has gone', async () => {
    const { answer, clock, shared, startedMs } = scripted();
    const first = shared.next(undefined, never());
    await answer();
    const leaving = new AbortController();
    const polling = shared.next(await first, leaving.signal);
    leaving.abort();
    await expect(polling).rejects.toMatchObject({ reason: 'cancelled' });
    await clock.advance(60_000);
    expect(startedMs).toEqual([0]);
    await expect(shared.next(undefined, leaving.signal)).rejects.toMatchObject({ reason: 'cancelled' });
  });

  it('ends every wait when it is closed', async () => {
    const { answer, clock, shared } = scripted();
    const waiting = shared.next(undefined, never());
    shared.close();
    await expect(waiting).rejects.toMatchObject({ reason: 'unavailable' });
    await expect(shared.next(undefined, never())).rejects.toMatchObject({ reason: 'unavailable' });
    await answer(new Error('aborted'));
    expect(clock.pendingTimers).toBe(0);
  });
});
