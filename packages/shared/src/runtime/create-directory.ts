/** Folders with exactly the permissions that were meant, whatever the umask is. */
import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

/**
 * Makes sure that the folder is there. What exists stays as it is; what is missing gets these permissions.
 * Node's own recursive mkdir never returns where a file system refuses with ENOENT although the parent is there, as /proc does.
 * @param parentMode of missing parents; undefined: as the umask has it.
 * @returns whether it was missing.
 */
export async function createDirectory(path: string, mode: number, parentMode?: number): Promise<boolean> {
  return await create(resolve(path), mode, parentMode);
}

async function create(
  path: string,
  mode: number | undefined,
  parentMode: number | undefined,
): Promise<boolean> {
  const outcome = await tryCreate(path, mode);
  if (typeof outcome === 'string') return outcome === 'made';
  if (outcome.code !== 'ENOENT' || dirname(path) === path) throw outcome;
  await create(dirname(path), parentMode, parentMode);
  const second = await tryCreate(path, mode);
  if (typeof second !== 'string') throw second;
  return second === 'made';
}

/** An error: why there is no such folder now. */
async function tryCreate(
  path: string,
  mode: number | undefined,
): Promise<'made' | 'present' | NodeJS.ErrnoException> {
  try {
    await mkdir(path, mode === undefined ? {} : { mode });
    if (mode !== undefined) await chmod(path, mode);
    return 'made';
  } catch (error) {
    const failure = error as NodeJS.ErrnoException;
    if (failure.code === 'EEXIST' && (await stat(path)).isDirectory()) return 'present';
    return failure;
  }
}
