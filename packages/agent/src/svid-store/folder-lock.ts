/** One process at a time writes to a folder: the kernel keeps the lock (flock(2)), and drops it however the process ends. */
import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { libc } from '@bonafide/shared/unix-socket/libc';

const LOCK_EXCLUSIVE = 2;
const LOCK_NON_BLOCKING = 4;
const EWOULDBLOCK = 11;

export class FolderLock {
  readonly #path: string;
  #fd: number | undefined;

  /** @param path of the folder itself: there is no lock file that could be left behind. */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Harmless when it is held already; a folder that was made anew meanwhile is locked anew.
   * @throws BonafideError `failed_precondition` when another process has it.
   */
  take(): void {
    if (this.#isHeld()) return;
    this.release();
    const fd = openSync(this.#path, constants.O_RDONLY | constants.O_DIRECTORY);
    // File systems over the network may know no locks of folders; what they answer is no sign of another process.
    if (libc().flock(fd, LOCK_EXCLUSIVE | LOCK_NON_BLOCKING) !== 0 && libc().errno() === EWOULDBLOCK) {
      closeSync(fd);
      throw new BonafideError(
        'failed_precondition',
        `another process keeps the files in ${this.#path}; end it, or choose another folder`,
      );
    }
    this.#fd = fd;
  }

  release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #isHeld(): boolean {
    if (this.#fd === undefined) return false;
    const held = fstatSync(this.#fd);
    const there = statSync(this.#path, { throwIfNoEntry: false });
    return there?.ino === held.ino && there.dev === held.dev;
  }
}
