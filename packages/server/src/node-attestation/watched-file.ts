/** What operators keep in a file, or a folder of files, beside the configuration: read again when it has changed. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';

export interface FileText {
  readonly path: string;
  readonly text: string;
}

export interface WatchedFileOptions<T> {
  readonly path: string;
  /** Which files of a folder count, for example `.yaml`; undefined: the path is one file. */
  readonly extensions?: readonly string[] | undefined;
  /** @throws BonafideError saying what is wrong with it. */
  readonly parse: (files: readonly FileText[]) => T;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly log: Logger;
}

const LARGEST_BYTES = 16 * 1024 * 1024;
const MOST_FILES = 1000;
const LOOK_EVERY_MS = 1000;

export class WatchedFile<T> {
  readonly #options: WatchedFileOptions<T>;
  #held: T;
  #state: string;
  #lookedAt: number;

  private constructor(options: WatchedFileOptions<T>, held: T, state: string) {
    this.#options = options;
    this.#held = held;
    this.#state = state;
    this.#lookedAt = options.clock.monotonicMs();
  }

  /** @throws BonafideError `invalid_argument` when it cannot be read or is wrong. */
  static async open<T>(options: WatchedFileOptions<T>): Promise<WatchedFile<T>> {
    const state = await stateOf(options);
    return new WatchedFile(options, await read(options), state);
  }

  /** As it is now, give or take a second. A file that was broken since does not count: the last good one does, and the log says so. */
  async current(): Promise<T> {
    const { clock, log, path } = this.#options;
    const now = clock.monotonicMs();
    if (now - this.#lookedAt < LOOK_EVERY_MS) return this.#held;
    this.#lookedAt = now;
    try {
      const state = await stateOf(this.#options);
      if (state === this.#state) return this.#held;
      this.#state = state;
      this.#held = await read(this.#options);
      log.info({ path }, 'read again, for it has changed');
    } catch (error) {
      this.#state = '';
      log.error({ err: error, path }, 'cannot be used as it is now; the last good version still counts');
    }
    return this.#held;
  }
}

async function read<T>(options: WatchedFileOptions<T>): Promise<T> {
  const { path } = options;
  try {
    const files: FileText[] = [];
    for (const file of await filesOf(options)) files.push({ path: file, text: await readFile(file, 'utf8') });
    return options.parse(files);
  } catch (error) {
    if (error instanceof BonafideError) throw error;
    throw invalidArgument(`cannot read ${path}: ${errorMessage(error)}`, error);
  }
}

/** Changes with everything that an editor, a copy or a rename does to it. */
async function stateOf<T>(options: WatchedFileOptions<T>): Promise<string> {
  try {
    const states: string[] = [];
    let bytes = 0;
    for (const file of await filesOf(options)) {
      const { ino, size, mtimeMs, ctimeMs } = await stat(file);
      bytes += size;
      states.push(JSON.stringify([file, ino, size, mtimeMs, ctimeMs]));
    }
    if (bytes > LARGEST_BYTES) throw invalidArgument(`${options.path} is larger than ${LARGEST_BYTES} bytes`);
    return states.join('\n');
  } catch (error) {
    if (error instanceof BonafideError) throw error;
    throw invalidArgument(`cannot read ${options.path}: ${errorMessage(error)}`, error);
  }
}

async function filesOf<T>({ path, extensions }: WatchedFileOptions<T>): Promise<readonly string[]> {
  if (extensions === undefined || !(await stat(path)).isDirectory()) return [path];
  const names = (await readdir(path)).filter(
    (name) => !name.startsWith('.') && extensions.some((extension) => name.endsWith(extension)),
  );
  if (names.length > MOST_FILES) throw invalidArgument(`${path} has more than ${MOST_FILES} files`);
  return names.sort().map((name) => join(path, name));
}
