/** How long an agent leaves a server alone that did not serve it: as the real one, but never so long that a benchmark waits for it. */
import { retryPauseMs } from '@bonafide/agent/agent-identity/retry-pause';

const INITIAL_MS = 1_000;
const MAXIMUM_MS = 8_000;

/** @param failures before this one, one after the other. */
export function pauseMs(failures: number, error: unknown): number {
  const ceilingMs = Math.min(MAXIMUM_MS, INITIAL_MS * 2 ** Math.min(failures, 10));
  return retryPauseMs(Math.random() * ceilingMs, error, Math.random);
}
