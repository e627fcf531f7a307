/** Waiting for a condition with a limit, instead of sleeping and hoping. */

export interface WaitOptions {
  /** Milliseconds after which the wait fails; two minutes unless told, for the machine may be busy. */
  readonly limitMs?: number;
  readonly intervalMs?: number;
  /** More to say when it fails, for example what a process wrote. */
  readonly explain?: () => string;
  /** An error of this class from the condition ends the wait at once. */
  readonly stopOn?: new (message: string) => Error;
}

type Nothing = undefined | false;

/**
 * Asks until the answer is neither false nor undefined, and returns it; a condition that throws is asked again.
 * @param description completes the sentence "gave up waiting for …"
 * @throws Error naming the description, the last error of the condition and the explanation.
 * @example
 * await waitFor('the entry to be delivered', () => delivered.includes(entryId));
 */
export async function waitFor<T>(
  description: string,
  condition: () => T | Nothing | Promise<T | Nothing>,
  options: WaitOptions = {},
): Promise<T> {
  const { limitMs = 120_000, intervalMs = 20, explain, stopOn } = options;
  const startedMs = performance.now();
  let lastError: unknown;
  do {
    try {
      const answer = await condition();
      if (answer !== undefined && answer !== false) return answer;
      lastError = undefined;
    } catch (error) {
      lastError = error;
      if (stopOn !== undefined && error instanceof stopOn) break;
    }
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  } while (performance.now() - startedMs < limitMs);
  const because = lastError instanceof Error ? `: ${lastError.message}` : '';
  const explanation = explain === undefined ? '' : `\n${explain()}`;
  throw new Error(
    `gave up waiting for ${description} after ${Math.round(performance.now() - startedMs)} ms${because}${explanation}`,
    {
      cause: lastError,
    },
  );
}
