/** Hands the newest value from a quick writer to a slow reader: whatever the reader was too slow for is forgotten. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';

type Outcome<Value> =
  { readonly kind: 'value'; readonly value: Value } | { readonly kind: 'error'; readonly error: Error };

export class LatestValue<Value> {
  #outcome: Outcome<Value> | undefined;
  #wake: (() => void) | undefined;

  set(value: Value): void {
    if (this.#outcome?.kind === 'error') return;
    this.#outcome = { kind: 'value', value };
    this.#wake?.();
  }

  /** Final: the reader gets this error next, and whatever is set later is dropped. */
  fail(error: Error): void {
    this.#outcome = { kind: 'error', error };
    this.#wake?.();
  }

  /** Waits for a value newer than the last one taken; for one reader at a time. @throws what `fail` was given; BonafideError `cancelled`. */
  async take(signal: AbortSignal): Promise<Value> {
    while (this.#outcome === undefined && !signal.aborted) await this.#changed(signal);
    const outcome = this.#outcome;
    if (outcome?.kind === 'error') throw outcome.error;
    if (outcome === undefined || signal.aborted)
      throw new BonafideError('cancelled', 'cancelled while waiting');
    this.#outcome = undefined;
    return outcome.value;
  }

  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener('abort', wake, { once: true });
    });
  }
}
