/** The helpers inside of the agent: one for each entry of the configuration, of which a reload may bring others. */
import { isDeepStrictEqual } from 'node:util';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Ownership } from '../svid-store/write-new-file.js';
import type { HelperEntry } from './helper-entry.js';
import type { Helper } from './helper.js';

type FolderKeeper = Pick<Helper, 'prepare' | 'release' | 'clear' | 'run'>;

interface RunningHelpersOptions {
  readonly create: (entry: HelperEntry, ownership: Ownership) => FolderKeeper;
  /** @throws BonafideError for a user or a group that is not there. */
  readonly ownershipOf: (entry: HelperEntry) => Promise<Ownership>;
  readonly log: Logger;
}

interface Kept {
  readonly entry: HelperEntry;
  readonly ownership: Ownership;
  readonly helper: FolderKeeper;
  readonly end: AbortController;
}

export class RunningHelpers {
  readonly #options: RunningHelpersOptions;
  /** By folder; undefined before there are any. */
  #kept: ReadonlyMap<string, Kept> | undefined;
  /** By folder: until whoever keeps it, and whoever is to keep it next, has ended. */
  readonly #busy = new Map<string, Promise<void>>();
  /** Until which they run; undefined before the agent knows its entries. */
  #signal: AbortSignal | undefined;
  readonly #failed = new AbortController();

  constructor(options: RunningHelpersOptions) {
    this.#options = options;
  }

  /**
   * @returns what puts the helpers of these entries in the place of those before; entries that are the same go on undisturbed.
   * @throws BonafideError when one of them has no owner or a folder that cannot be used; nothing has changed then.
   */
  async prepare(entries: readonly HelperEntry[]): Promise<() => void> {
    const next = new Map<string, Kept>();
    for (const entry of entries) {
      const { directory } = entry;
      const ownership = await this.#options.ownershipOf(entry);
      const before = this.#kept?.get(directory);
      if (before !== undefined && isDeepStrictEqual([before.entry, before.ownership], [entry, ownership])) {
        next.set(directory, before);
        continue;
      }
      const helper = this.#options.create(entry, ownership);
      if (before === undefined) {
        await this.#busy.get(directory);
        await helper.prepare();
        // The reload may be refused yet; whoever runs takes it again.
        if (this.#kept !== undefined) helper.release();
      }
      next.set(directory, { entry, ownership, helper, end: new AbortController() });
    }
    return () => {
      this.#replace(next);
    };
  }

  /** Until the signal fires; to be called once. @throws what one of them throws. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = AbortSignal.any([signal, this.#failed.signal]);
    this.#signal = stop;
    for (const kept of this.#kept?.values() ?? []) this.#start(kept, stop);
    await aborted(stop);
    await Promise.all(this.#busy.values());
    this.#failed.signal.throwIfAborted();
  }

  /** Takes the files of all of them away; what cannot be removed is in the log. */
  async clear(): Promise<void> {
    for (const { helper } of this.#kept?.values() ?? []) {
      await helper.clear().catch((error: unknown) => {
        this.#options.log.error(`files of an identity are left, remove them by hand: ${errorMessage(error)}`);
      });
    }
  }

  #replace(next: ReadonlyMap<string, Kept>): void {
    const former = this.#kept;
    this.#kept = next;
    for (const [directory, kept] of former ?? []) {
      if (next.get(directory) === kept) continue;
      kept.end.abort();
      if (this.#signal === undefined) kept.helper.release();
      if (next.has(directory)) continue;
      this.#options.log.info(
        { directory },
        'no helper keeps this folder any more; its files stay as they are',
      );
    }
    if (this.#signal === undefined) return;
    for (const [directory, kept] of next) {
      if (former?.get(directory) !== kept) this.#start(kept, this.#signal);
    }
  }

  /** Once whoever kept the folder before has ended. */
  #start({ end, entry: { directory }, helper }: Kept, signal: AbortSignal): void {
    const before = this.#busy.get(directory) ?? Promise.resolve();
    const running = before
      .then(() => (end.signal.aborted ? undefined : helper.run(AbortSignal.any([signal, end.signal]))))
      .catch((error: unknown) => {
        this.#failed.abort(error);
      })
      .finally(() => {
        if (this.#busy.get(directory) === running) this.#busy.delete(directory);
      });
    this.#busy.set(directory, running);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else
      signal.addEventListener(
        'abort',
        () => {
          resolve();
        },
        { once: true },
      );
  });
}
