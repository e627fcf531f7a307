/** Files that hold secrets or must never be seen half-written: 0600 in 0700 folders, replaced atomically. */
import { randomBytes } from 'node:crypto';
import { open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import { createDirectory } from './create-directory.js';

/** Makes sure of the folder, for its owner alone when it is new; parents that are missing are made as the umask has it. */
export async function createPrivateDirectory(path: string): Promise<void> {
  await createDirectory(path, 0o700);
}

/**
 * Writes the whole file or nothing: temporary file beside it, fsync, rename, fsync of the folder.
 * @throws BonafideError `unavailable` when the disk is full or the folder cannot be written.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array, mode = 0o600): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}.tmp`);
  try {
    const file = await open(temporary, 'wx', mode);
    try {
      await file.writeFile(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await replaceFile(temporary, path);
  } catch (error) {
    await unlink(temporary).catch(() => undefined); // it may never have come to exist
    throw new BonafideError('unavailable', `cannot write ${path}: ${errorMessage(error)}`, { cause: error });
  }
}

/** Gives a file that is complete, and on the disk, its name: in one step, which survives a power cut. */
export async function replaceFile(temporary: string, path: string): Promise<void> {
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/**
 * Removes what `writeFileAtomic` left beside the file when the process was killed in the middle of it; it may hold a secret. For those
 * who alone write the file, before they do.
 */
export async function removeUnfinishedWrites(path: string): Promise<void> {
  const prefix = `.${basename(path)}.`;
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(prefix) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(prefix.length)))
      await unlink(join(dirname(path), name));
  }
}

/** The file's bytes, or undefined when there is no such file. */
export async function readFileIfExists(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
