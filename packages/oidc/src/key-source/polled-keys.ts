/** A source of keys that is asked at an interval. */
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { FetchedKeys } from '../documents/published-keys.js';
import type { KeyReceiver, KeySource } from './key-source.js';

export interface PolledKeysOptions {
  readonly fetch: (signal: AbortSignal) => Promise<FetchedKeys>;
  readonly pollSeconds: number;
  readonly clock: Clock;
}

export class PolledKeys implements KeySource {
  readonly #options: PolledKeysOptions;

  constructor(options: PolledKeysOptions) {
    this.#options = options;
  }

  async follow(receiver: KeyReceiver, signal: AbortSignal): Promise<void> {
    const { fetch, pollSeconds, clock } = this.#options;
    do {
      try {
        receiver.update(await fetch(signal));
      } catch (error) {
        if (!signal.aborted) receiver.fail(error);
      }
      await sleep(clock, pollSeconds * 1000, signal).catch(() => undefined); // only the signal ends it early
    } while (!signal.aborted);
  }
}
