/** The configuration of a running program: read again when it is asked, taken over whole or not at all. */
import { errorMessage } from '../errors/bonafide-error.js';
import type { Logger } from '../runtime/logger.js';
import { changedKeys } from './config-changes.js';

/** Something that takes over what a new configuration says without a restart. */
export interface LivePart<C> {
  /** For messages, for example `rate limits`. */
  readonly name: string;
  /** The keys that it takes over, dotted, each with all that is below it; what no part names needs a restart. */
  readonly keys: readonly string[];
  /**
   * Checks and prepares what `next` asks for; called at every reload, whether or not its keys changed.
   * @throws BonafideError to refuse the whole reload.
   * @returns what applies it, and cannot fail.
   */
  prepare(next: C): Promise<() => void> | (() => void);
}

export type ReloadResult =
  | { readonly kind: 'applied'; readonly changed: readonly string[]; readonly needRestart: readonly string[] }
  | { readonly kind: 'refused'; readonly message: string };

export interface LiveConfigOptions<C> {
  /** With which the program was started. */
  readonly config: C;
  /** Reads the file again, with the same flags. */
  readonly load: () => Promise<C>;
  readonly log: Logger;
}

export class LiveConfig<C> {
  readonly #started: C;
  readonly #load: () => Promise<C>;
  readonly #log: Logger;
  readonly #parts: LivePart<C>[] = [];
  readonly #listeners: ((result: ReloadResult) => void)[] = [];
  #current: C;
  #last: Promise<unknown>;
  #ready: () => void = () => undefined;
  /** Has been asked for and has not begun; whoever asks meanwhile is served by it. */
  #waiting: Promise<ReloadResult> | undefined;

  constructor({ config, load, log }: LiveConfigOptions<C>) {
    this.#started = config;
    this.#current = config;
    this.#load = load;
    this.#log = log;
    this.#last = new Promise<void>((resolve) => {
      this.#ready = resolve;
    });
  }

  /** What was accepted last; of keys that need a restart it says what the next start will use. */
  get current(): C {
    return this.#current;
  }

  add(part: LivePart<C>): void {
    this.#parts.push(part);
  }

  /** Hears how each reload ended. */
  onResult(listener: (result: ReloadResult) => void): void {
    this.#listeners.push(listener);
  }

  /** The program runs and has added all of its parts; reloads that were asked for before begin now. */
  ready(): void {
    this.#ready();
  }

  /** One after the other. Never rejects: what is wrong is in the log and in the result. */
  reload(): Promise<ReloadResult> {
    this.#waiting ??= this.#last.then(async () => {
      this.#waiting = undefined;
      const result = await this.#reloadNow();
      for (const listener of this.#listeners) listener(result);
      return result;
    });
    this.#last = this.#waiting;
    return this.#waiting;
  }

  async #reloadNow(): Promise<ReloadResult> {
    const applications: { readonly name: string; readonly apply: () => void }[] = [];
    let next: C;
    try {
      next = await this.#load();
      for (const part of this.#parts) {
        applications.push({ name: part.name, apply: await part.prepare(next) });
      }
    } catch (error) {
      const message = errorMessage(error);
      this.#log.error(`the configuration was not reloaded, and the one before stays in force: ${message}`);
      return { kind: 'refused', message };
    }
    const changed = changedKeys(this.#current, next);
    const needRestart = changedKeys(this.#started, next).filter((key) => !this.#isLive(key));
    for (const { name, apply } of applications) {
      try {
        apply();
      } catch (error) {
        this.#log.error({ err: error }, `a reload was taken over but for ${name}: restart the program`);
      }
    }
    this.#current = next;
    if (needRestart.length > 0) {
      this.#log.warn(
        { keys: needRestart },
        `what changed in the configuration and needs a restart: ${needRestart.join(', ')}`,
      );
    }
    // The last line of a reload: whoever waits for it has seen the rest.
    this.#log.info({ changed: changed.filter((key) => this.#isLive(key)) }, 'configuration reloaded');
    return { kind: 'applied', changed, needRestart };
  }

  #isLive(key: string): boolean {
    return this.#parts.some(({ keys }) => keys.some((live) => key === live || key.startsWith(`${live}.`)));
  }
}
