import { FakeClock } from '@bonafide/testing/fake-clock';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { describe, expect, it } from 'vitest';
import { exampleTrustDomain } from '../../store/example-records.js';
import { FirstMessages } from './first-messages.js';

const trustDomain = exampleTrustDomain('example.org');
const agent = (name: number): ReturnType<typeof agentId> => agentId(trustDomain, 'x', String(name));

/** A stream that says something when told to. */
function silentStream(): {
  readonly messages: AsyncGenerator<string, undefined>;
  say(message: string): void;
} {
  let say: (message: string) => void = () => undefined;
  const said = new Promise<string>((resolve) => (say = resolve));
  async function* messages(): AsyncGenerator<string, undefined> {
    yield await said;
    return undefined;
  }
  return { messages: messages(), say };
}

function outcome(opening: Promise<unknown>): Promise<string> {
  return opening.then(String, (error: unknown) => (error as { reason: string }).reason);
}

describe('streams that have not begun', () => {
  it('are eight for an agent at most, of ten thousand that it opens, and none for longer than ten seconds', async () => {
    const clock = new FakeClock();
    const first = new FirstMessages(clock);
    const outcomes = Array.from({ length: 10_000 }, () =>
      outcome(first.of(agent(1), silentStream().messages)),
    );
    expect([first.waiting, clock.pendingTimers]).toEqual([8, 8]);
    const other = silentStream();
    const served = first.of(agent(2), other.messages);
    other.say('hello');
    expect(await served).toBe('hello');
    await clock.advance(10_000);
    const told = await Promise.all(outcomes);
    expect(told.filter((reason) => reason === 'deadline_exceeded')).toHaveLength(8);
    expect(told.filter((reason) => reason === 'resource_exhausted')).toHaveLength(9_992);
    expect([first.waiting, clock.pendingTimers]).toEqual([0, 0]);
    const again = silentStream();
    again.say('again');
    expect(await first.of(agent(1), again.messages)).toBe('again');
  });

  it('are five thousand in all at most', async () => {
    const clock = new FakeClock();
    const first = new FirstMessages(clock);
    const outcomes = Array.from({ length: 10_000 }, (_, index) =>
      outcome(first.of(agent(index), silentStream().messages)),
    );
    expect(first.waiting).toBe(5_000);
    await clock.advance(10_000);
    const told = await Promise.all(outcomes);
    expect(told.filter((reason) => reason === 'resource_exhausted')).toHaveLength(5_000);
    expect([first.waiting, clock.pendingTimers]).toEqual([0, 0]);
  });
});
