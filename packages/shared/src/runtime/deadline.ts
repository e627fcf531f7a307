/** Deadlines for gRPC, which measures them by the wall clock of the process itself and so cannot be given another clock. */

export function deadlineAfter(delayMs: number): Date {
  return new Date(Date.now() + delayMs);
}
