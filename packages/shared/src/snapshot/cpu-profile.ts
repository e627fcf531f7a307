/** What the processor does, as the inspector of Node sees it. No port is opened. */
import { Session } from 'node:inspector/promises';
import { sleep, type Clock } from '../runtime/clock.js';

/** Every millisecond a look: a minute of them is a few megabytes. */
const SAMPLE_MICROSECONDS = 1000;

/** @returns the text of a `.cpuprofile`. @param signal ends it early, with nothing. @throws BonafideError `cancelled` by the signal. */
export async function cpuProfile(seconds: number, clock: Clock, signal: AbortSignal): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.setSamplingInterval', { interval: SAMPLE_MICROSECONDS });
    await session.post('Profiler.start');
    await sleep(clock, seconds * 1000, signal);
    const { profile } = await session.post('Profiler.stop');
    return JSON.stringify(profile);
  } finally {
    session.disconnect();
  }
}
