/** Trying again what could not be read: once a second, with one line in the log for each outage. */
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';

export interface ReadRetriesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly again: () => void;
}

const RETRY_MS = 1000;

export class ReadRetries {
  readonly #options: ReadRetriesOptions;
  #failures = 0;
  #timer: Timer | undefined;
  #isStopped = false;

  constructor(options: ReadRetriesOptions) {
    this.#options = options;
  }

  failed(error: unknown): void {
    const { clock, log, again } = this.#options;
    log[this.#failures === 0 ? 'error' : 'debug'](
      { err: error },
      'cannot read what was just written; trying again',
    );
    this.#failures += 1;
    this.#timer?.cancel();
    if (!this.#isStopped) this.#timer = clock.schedule(RETRY_MS, again);
  }

  succeeded(): void {
    if (this.#failures === 0) return;
    this.#options.log.info({ failures: this.#failures }, 'what was written could be read');
    this.#failures = 0;
    this.#timer?.cancel();
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.cancel();
  }
}
