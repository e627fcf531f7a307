/** A log of refused callers that no caller can flood: each kind of refusal at most once in a while, with the count of the rest. */
import type { Clock } from './clock.js';
import type { Logger } from './logger.js';

const INTERVAL_MS = 10_000;

export interface RefusalLogOptions<Kind extends string> {
  readonly clock: Clock;
  readonly log: Logger;
  /** Told of every refusal, also of those that are only counted in the log. */
  readonly onRefused?: ((kind: Kind) => void) | undefined;
}

export class RefusalLog<Kind extends string> {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onRefused: ((kind: Kind) => void) | undefined;
  readonly #kinds = new Map<Kind, { loggedAtMs: number; unlogged: number }>();

  constructor({ clock, log, onRefused }: RefusalLogOptions<Kind>) {
    this.#onRefused = onRefused;
    this.#clock = clock;
    this.#log = log;
  }

  warn(kind: Kind, fields: Readonly<Record<string, unknown>>, message: string): void {
    this.#onRefused?.(kind);
    const nowMs = this.#clock.monotonicMs();
    const last = this.#kinds.get(kind);
    if (last !== undefined && nowMs - last.loggedAtMs < INTERVAL_MS) {
      last.unlogged += 1;
      return;
    }
    this.#log.warn({ ...fields, ...(last?.unlogged ? { unlogged: last.unlogged } : {}) }, message);
    this.#kinds.set(kind, { loggedAtMs: nowMs, unlogged: 0 });
  }
}
