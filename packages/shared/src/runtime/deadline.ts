/** Deadlines for gRPC, which measures them by the wall clock of the process itself and so cannot be given another clock. */

export function deadlineAfter(delayMs: number): Date {
  return new Date(Date.now() + delayMs);
}

/** Milliseconds that are left, less than 0 when it is past; Infinity for none. */
export function untilDeadlineMs(deadline: Date | number): number {
  return Number(deadline) - Date.now();
}
