/** Clock timers let the process end; whoever must be waited for although nothing but a timer is pending says so here. */

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The process does not end by itself until the function that is returned has been called. */
export function keepProcessAlive(): () => void {
  const handle = setInterval(() => undefined, LONGEST_TIMER_MS);
  return () => {
    clearInterval(handle);
  };
}
