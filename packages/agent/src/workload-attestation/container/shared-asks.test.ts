import { describe, expect, it } from 'vitest';
import { SharedAsks } from './shared-asks.js';

/** A question whose answer the test gives. */
function question() {
  const begun: { answer: (text: string) => void; fail: (error: Error) => void; signal: AbortSignal }[] = [];
  const begin = (signal: AbortSignal): Promise<string> =>
    new Promise((resolve, reject) => {
      begun.push({ answer: resolve, fail: reject, signal });
    });
  return { begun, begin };
}

const patient = (): AbortSignal => new AbortController().signal;

describe('questions that several ask at once', () => {
  it('are asked once, and answered to all', async () => {
    const asks = new SharedAsks<string>();
    const { begin, begun } = question();
    const all = [1, 2, 3].map(() => asks.ask('web', patient(), begin));
    begun[0]?.answer('yes');
    expect(await Promise.all(all)).toEqual(['yes', 'yes', 'yes']);
    expect(begun).toHaveLength(1);
  });

  it('are kept apart by their keys', async () => {
    const asks = new SharedAsks<string>();
    const { begin, begun } = question();
    const both = ['web', 'database'].map((key) => asks.ask(key, patient(), begin));
    for (const [index, { answer }] of begun.entries()) answer(String(index));
    expect(await Promise.all(both)).toEqual(['0', '1']);
  });

  it('are asked anew once there was an answer, for it may have changed', async () => {
    const asks = new SharedAsks<string>();
    const { begin, begun } = question();
    const first = asks.ask('web', patient(), begin);
    begun[0]?.answer('yes');
    await first;
    const second = asks.ask('web', patient(), begin);
    begun[1]?.answer('no');
    expect(await second).toBe('no');
  });

  it('fail for all who wait, and are asked anew after that', async () => {
    const asks = new SharedAsks<string>();
    const { begin, begun } = question();
    const both = [1, 2].map(() => asks.ask('web', patient(), begin));
    begun[0]?.fail(new Error('boom'));
    for (const { status, ...rest } of await Promise.allSettled(both)) {
      expect([status, rest]).toMatchObject(['rejected', { reason: { message: 'boom' } }]);
    }
    const again = asks.ask('web', patient(), begin);
    begun[1]?.answer('yes');
    expect(await again).toBe('yes');
  });

  it('go on while anybody waits, and are given up with the last', async () => {
    const asks = new SharedAsks<string>();
    const { begin, begun } = question();
    const leavers = [new AbortController(), new AbortController()];
    const left = leavers.map(({ signal }) => asks.ask('web', signal, begin));
    const outcomes = Promise.allSettled(left);
    leavers[0]?.abort(new Error('gone'));
    await expect(left[0]).rejects.toThrow('gone');
    expect(begun[0]?.signal.aborted).toBe(false);
    leavers[1]?.abort(new Error('gone too'));
    await outcomes;
    expect(begun[0]?.signal.aborted).toBe(true);
    // What was given up is nobody's answer, however late it comes.
    const next = asks.ask('web', patient(), begin);
    begun[0]?.answer('old');
    begun[1]?.answer('new');
    expect(await next).toBe('new');
  });

  it('are not asked for somebody who has left already', async () => {
    const { begin, begun } = question();
    await expect(
      new SharedAsks<string>().ask('web', AbortSignal.abort(new Error('gone')), begin),
    ).rejects.toThrow('gone');
    expect(begun).toEqual([]);
  });
});
