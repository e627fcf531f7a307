/** The keys that are served: those of the last good answer, with when they changed and how the source has been since. */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { formatKeySet } from './key-set.js';

export interface FetchedKeys {
  readonly keys: readonly TokenAuthority[];
  readonly refreshHintSeconds: number | undefined;
}

export interface KeySet {
  readonly text: string;
  readonly count: number;
  readonly changedAt: Date;
  readonly refreshHintSeconds: number | undefined;
}

export interface PublishedKeysOptions {
  readonly setKeyUse: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

export class PublishedKeys {
  readonly #options: PublishedKeysOptions;
  readonly #startedMs: number;
  #current: KeySet | undefined;
  #failingSinceMs: number | undefined;
  #failure: string | undefined;

  constructor(options: PublishedKeysOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
  }

  /** Undefined until the source has answered for the first time. */
  current(): KeySet | undefined {
    return this.#current;
  }

  /** How long the source has been failing, from the start when it never answered; 0 when it works. */
  failingMs(): number {
    const { clock } = this.#options;
    if (this.#failingSinceMs !== undefined) return clock.monotonicMs() - this.#failingSinceMs;
    return this.#current === undefined ? clock.monotonicMs() - this.#startedMs : 0;
  }

  update({ keys, refreshHintSeconds }: FetchedKeys): void {
    const { setKeyUse, clock, log } = this.#options;
    if (this.#failure !== undefined) log.info('the source of the keys answers again');
    this.#failingSinceMs = undefined;
    this.#failure = undefined;
    const text = formatKeySet(keys, setKeyUse);
    const before = this.#current;
    const isSame = text === before?.text;
    const changedAt = isSame ? before.changedAt : nextChange(before?.changedAt, clock.now());
    this.#current = { text, count: keys.length, changedAt, refreshHintSeconds };
    if (!isSame) log.info({ keyIds: keys.map(({ keyId }) => keyId) }, 'serving new keys');
  }

  /** What was served before is served on. */
  fail(error: unknown): void {
    const { clock, log } = this.#options;
    this.#failingSinceMs ??= clock.monotonicMs();
    const failure = errorMessage(error);
    if (failure !== this.#failure) {
      const what = this.#current === undefined ? 'there are none yet' : 'the last good ones are served';
      log.error({ err: error }, `cannot fetch the keys: ${failure}; ${what}`);
    }
    this.#failure = failure;
  }
}

/** Caches compare whole seconds: no two sets have the same one, and a clock that is set back takes none back. */
function nextChange(before: Date | undefined, now: Date): Date {
  return before === undefined ? now : new Date(Math.max(now.getTime(), before.getTime() + 1000));
}
