import { describe, expect, it } from 'vitest';
import { AttestationTurns } from './attestation-turns.js';

const never = (): AbortSignal => new AbortController().signal;

/** Runs that end when they are told to; `started` has the name of each in the order of their turns. */
function setUp(atOnce: number, atOncePerUid: number) {
  const turns = new AttestationTurns({ maxAttestations: atOnce, maxAttestationsPerUid: atOncePerUid });
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (uid: number, name: string, signal = never()): Promise<string> =>
    turns.run(uid, signal, async () => {
      started.push(name);
      await new Promise<void>((resolve) => {
        ends.set(name, resolve);
      });
      return name;
    });
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await settled();
  };
  return { turns, started, run, end };
}

async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('turns to be attested', () => {
  it('come at once while there is room', async () => {
    const { turns, started, run, end } = setUp(4, 2);
    const answers = [run(1, 'a'), run(1, 'b'), run(2, 'c')];
    await settled();
    expect(started).toEqual(['a', 'b', 'c']);
    for (const name of ['a', 'b', 'c']) await end(name);
    expect(await Promise.all(answers)).toEqual(['a', 'b', 'c']);
    expect(turns.size).toBe(0);
  });

  it('leave room for others, however many of one user wait', async () => {
    const { started, run, end } = setUp(4, 2);
    for (let index = 0; index < 1000; index += 1) void run(1, `crowd-${index}`);
    void run(2, 'quiet');
    await settled();
    expect(started).toEqual(['crowd-0', 'crowd-1', 'quiet']);
    await end('quiet');
    expect(started).toHaveLength(3);
    await end('crowd-0');
    expect(started.at(-1)).toBe('crowd-2');
  });

  it('go round among the users that wait, when all places are taken', async () => {
    const { started, run, end } = setUp(2, 2);
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) void run(1, name);
    for (const name of ['b1', 'b2']) void run(2, name);
    void run(3, 'c1');
    await settled();
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'b2', 'a5']) await end(name);
    expect(started).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'b2', 'a5']);
  });

  it('do not come to those whose call is over', async () => {
    const { turns, started, run, end } = setUp(1, 1);
    const abort = new AbortController();
    const first = run(1, 'first');
    const gone = run(2, 'gone', abort.signal);
    const last = run(2, 'last');
    abort.abort();
    await expect(gone).rejects.toMatchObject({ reason: 'cancelled' });
    await expect(run(3, 'late', AbortSignal.abort())).rejects.toMatchObject({ reason: 'cancelled' });
    await end('first');
    await end('last');
    await Promise.all([first, last]);
    expect(started).toEqual(['first', 'last']);
    expect(turns.size).toBe(0);
  });

  it('go on after one that fails', async () => {
    const turns = new AttestationTurns({ maxAttestations: 1, maxAttestationsPerUid: 1 });
    const failed = turns.run(1, never(), () => Promise.reject(new Error('no')));
    const next = turns.run(1, never(), () => Promise.resolve('next'));
    await expect(failed).rejects.toThrow('no');
    expect(await next).toBe('next');
    expect(turns.size).toBe(0);
  });
});
