/** Folders with exactly the permissions that were meant, whatever the umask is. */
import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes sure that the folder is there. What exists stays as it is; what is missing gets these permissions.
 * Node's own recursive mkdir never returns where a file system refuses with ENOENT although the parent is there, as /proc does.
 * @param parentMode of missing parents; undefined: as the umask has it.
 */
export async function createDirectory(path: string, mode: number, parentMode?: number): Promise<void> {
  await create(resolve(path), mode, parentMode);
}

async function create(path: string, mode: number | undefined, parentMode: number | undefined): Promise<void> {
  const reason = await tryCreate(path, mode);
  if (reason === undefined) return;
  if (reason.code !== 'ENOENT' || dirname(path) === path) throw reason;
  await create(dirname(path), parentMode, parentMode);
  const still = await tryCreate(path, mode);
  if (still !== undefined) throw still;
}

/** @returns why there is no such folder now; undefined when there is. */
async function tryCreate(path: string, mode: number | undefined): Promise<NodeJS.ErrnoException | undefined> {
  try {
    await mkdir(path, mode === undefined ? {} : { mode });
    if (mode !== undefined) await chmod(path, mode);
    return undefined;
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    if (failure.code === 'EEXIST' && (await stat(path)).isDirectory()) return undefined;
    return failure;
  }
}
