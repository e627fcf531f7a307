/** When each entry is tried again for which the server's last answer was none that is good: later after every such answer. */
import { Backoff, type BackoffOptions } from '@bonafide/shared/runtime/backoff';

export class Setbacks {
  readonly #backoffs = new Map<string, Backoff>();
  readonly #causes = new Map<string, string>();
  readonly #random: () => number;

  /** @param random a number in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** @param retry counts for the first of several in a row. */
  nextAttempt(entryId: string, retry: Omit<BackoffOptions, 'random'>, now: Date): Date {
    const backoff = this.#backoffs.get(entryId) ?? new Backoff({ ...retry, random: this.#random });
    this.#backoffs.set(entryId, backoff);
    return new Date(now.getTime() + backoff.nextDelayMs());
  }

  /** For people who ask why. */
  remember(entryId: string, cause: string): void {
    this.#causes.set(entryId, cause);
  }

  cause(entryId: string): string | undefined {
    return this.#causes.get(entryId);
  }

  /** A good answer has come, or the entry is not wanted any more. */
  delete(entryId: string): void {
    this.#backoffs.delete(entryId);
    this.#causes.delete(entryId);
  }
}
