/** How many signing threads a machine is well served by. */

/** One core is the main thread's, one is everything else's: the thread pool, the database, other programs. */
const CORES_FOR_OTHERS = 2;
/** Below it the thread pool uses the cores just as well, and threads would be more to hold in memory. */
const FEWEST_CORES = 4;
/** More than the main thread can feed. */
const MOST_THREADS = 12;

/** @param cores that this process may run on. */
export function countSigningThreads(configured: number | 'auto', cores: number): number {
  if (configured !== 'auto') return configured;
  return cores < FEWEST_CORES ? 0 : Math.min(cores - CORES_FOR_OTHERS, MOST_THREADS);
}
