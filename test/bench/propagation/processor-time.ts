/** What share of one core another process uses over some time (proc(5), /proc/pid/stat). */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';

/** Linux counts in hundredths of a second for user space, whatever its own tick is. */
const TICKS_PER_SECOND = 100;

/** @returns percent of one core. */
export async function processorShare(pid: number, during: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  const before = processorSeconds(pid);
  await during();
  const used = processorSeconds(pid) - before;
  return (used / ((performance.now() - startedMs) / 1000)) * 100;
}

function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name, in brackets, may hold anything; state is the first field after it, utime the 12th and stime the 13th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
