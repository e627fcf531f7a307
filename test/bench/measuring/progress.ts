/** What a long benchmark is doing, for whoever waits for it: on standard error, so that the table stays clean. */
import { performance } from 'node:perf_hooks';

const startedMs = performance.now();

export function progress(message: string): void {
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  process.stderr.write(`  [${String(seconds).padStart(4)} s] ${message}\n`);
}
