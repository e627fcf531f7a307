/** Where the keys come from: asked again and again, or followed. */
import type { FetchedKeys } from '../documents/published-keys.js';

export interface KeyReceiver {
  update(keys: FetchedKeys): void;
  fail(error: unknown): void;
}

export interface KeySource {
  /** Tells every answer and every failure until the signal fires; never throws. */
  follow(receiver: KeyReceiver, signal: AbortSignal): Promise<void>;
}
