/** How the process is: its memory, its event loop, and what keeps it busy. */
import { readdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { sleep, type Clock } from '../runtime/clock.js';

/** Long enough to meet a stall that comes again and again, short enough to wait for. */
const WATCHED_MS = 500;
const RESOLUTION_MS = 5;
const NANOSECONDS_PER_MS = 1e6;

export async function processState(clock: Clock): Promise<Readonly<Record<string, unknown>>> {
  const { heap_size_limit: heapLimit, malloced_memory: malloced } = getHeapStatistics();
  const { maxRSS, userCPUTime, systemCPUTime, voluntaryContextSwitches, involuntaryContextSwitches } =
    process.resourceUsage();
  return {
    pid: process.pid,
    user: process.geteuid?.(),
    started_at: new Date(performance.timeOrigin).toISOString(),
    uptime_seconds: Math.floor(process.uptime()),
    cores: availableParallelism(),
    memory_bytes: { ...process.memoryUsage(), heapLimit, malloced, highestRss: maxRSS * 1024 },
    cpu_microseconds: { user: userCPUTime, system: systemCPUTime },
    context_switches: { voluntary: voluntaryContextSwitches, involuntary: involuntaryContextSwitches },
    event_loop: {
      ...(await eventLoopDelay(clock)),
      utilization: rounded(performance.eventLoopUtilization().utilization),
    },
    active_resources: counted(process.getActiveResourcesInfo()),
    open_files: await openFiles(),
  };
}

async function eventLoopDelay(clock: Clock): Promise<Readonly<Record<string, number>>> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  try {
    await sleep(clock, WATCHED_MS);
  } finally {
    delay.disable();
  }
  const milliseconds = (nanoseconds: number): number => rounded(nanoseconds / NANOSECONDS_PER_MS);
  return {
    watched_ms: WATCHED_MS,
    delay_p50_ms: milliseconds(delay.percentile(50)),
    delay_p99_ms: milliseconds(delay.percentile(99)),
    delay_max_ms: milliseconds(delay.max),
  };
}

/** Undefined where the system does not say. */
async function openFiles(): Promise<number | undefined> {
  return readdir('/proc/self/fd').then(
    (names) => names.length,
    () => undefined, // no procfs here, and the rest is worth having
  );
}

function counted(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
