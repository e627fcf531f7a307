/** A function, because the answer changes while something is awaited, and TypeScript takes a property that was read once for settled. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
