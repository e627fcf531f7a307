/** Looks at two servers again and again: what differs at one look alone was only on its way. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { differenceText, type Difference } from './difference.js';

export interface Look {
  readonly differences: readonly Difference[];
  /** How much was looked at. */
  readonly entries: number;
  readonly agents: number;
}

export interface FollowOptions {
  /** @throws BonafideError when a server cannot be asked. */
  readonly look: () => Promise<Look>;
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

export interface FollowStep {
  readonly look: Look;
  /** Of what was seen twice. */
  readonly appeared: readonly Difference[];
  readonly settled: readonly Difference[];
}

/** Longest between the two looks of `confirmedLook`. */
const CONFIRMATION_MS = 2000;

/** One look; differences are looked at once more. */
export async function confirmedLook({ look, clock, intervalMs, signal }: FollowOptions): Promise<Look> {
  const first = await look();
  if (first.differences.length === 0) return first;
  await sleep(clock, Math.min(intervalMs, CONFIRMATION_MS), signal);
  const second = await look();
  return { ...second, differences: seenTwice(first.differences, second.differences) };
}

/** Ends when the signal fires. @param onTrouble hears why a look failed; the next one is taken after the interval. */
export async function* followDifferences(
  options: FollowOptions,
  onTrouble: (error: unknown) => void,
): AsyncGenerator<FollowStep, void, undefined> {
  const { look, clock, intervalMs, signal } = options;
  let before: readonly Difference[] = [];
  let reported = new Map<string, Difference>();
  while (!signal.aborted) {
    const now = await look().catch((error: unknown) => {
      onTrouble(error);
      return undefined;
    });
    if (now !== undefined) {
      const texts = new Map(now.differences.map((one) => [differenceText(one), one]));
      const appeared = seenTwice(before, now.differences).filter((one) => !reported.has(differenceText(one)));
      const settled = [...reported].flatMap(([text, one]) => (texts.has(text) ? [] : [one]));
      reported = new Map([...reported].filter(([text]) => texts.has(text)));
      for (const one of appeared) reported.set(differenceText(one), one);
      before = now.differences;
      yield { look: now, appeared, settled };
    }
    try {
      await sleep(clock, intervalMs, signal);
    } catch (error) {
      if (!hasReason(error, 'cancelled')) throw error;
    }
  }
}

function seenTwice(before: readonly Difference[], now: readonly Difference[]): readonly Difference[] {
  const texts = new Set(before.map(differenceText));
  return now.filter((one) => texts.has(differenceText(one)));
}
