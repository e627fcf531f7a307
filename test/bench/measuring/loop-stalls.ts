/** How long the event loop of this process is held up while it does something. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LoopStalls {
  /** Of the work. */
  readonly ms: number;
  /** Of one look a millisecond: by how much it came late. */
  readonly p99Ms: number;
  readonly longestMs: number;
}

const RESOLUTION_MS = 1;
const NANOSECONDS_PER_MS = 1e6;

export async function loopStallsOf(work: () => Promise<unknown>): Promise<LoopStalls> {
  // A histogram of its own: one that was paused would take the pause for a stall.
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delays.enable();
  await sleep(2 * RESOLUTION_MS); // the first look has none before it
  const startMs = performance.now();
  await work();
  const ms = performance.now() - startMs;
  await sleep(2 * RESOLUTION_MS); // what held up the last look is seen after it
  delays.disable();
  // The delays include the wait itself.
  const stall = (nanoseconds: number): number =>
    Math.max(0, nanoseconds / NANOSECONDS_PER_MS - RESOLUTION_MS);
  return { ms, p99Ms: stall(delays.percentile(99)), longestMs: stall(delays.max) };
}
