/** A file that nobody sees before it has its owner, its mode and all of its content. */
import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

export interface FileToWrite {
  /** Without a folder. */
  readonly name: string;
  readonly content: string | Uint8Array;
  readonly mode: number;
}

/** Undefined: as this process creates files. */
export interface Ownership {
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

const PERMISSIONS = 0o7777;
const LEAVE = -1;

/** @param folder a new one, which only this process may enter. */
export async function writeNewFile(folder: string, file: FileToWrite, ownership: Ownership): Promise<void> {
  const handle = await open(join(folder, file.name), 'wx', 0o600);
  try {
    const { uid = LEAVE, gid = LEAVE } = ownership;
    if (uid !== LEAVE || gid !== LEAVE) await handle.chown(uid, gid);
    await handle.chmod(file.mode);
    await handle.writeFile(file.content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether it is there just so. */
export async function isSameFile(folder: string, file: FileToWrite, ownership: Ownership): Promise<boolean> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(join(folder, file.name), constants.O_RDONLY | constants.O_NOFOLLOW);
    const { mode, uid, gid } = await handle.stat();
    if ((mode & PERMISSIONS) !== file.mode) return false;
    if (uid !== (ownership.uid ?? uid) || gid !== (ownership.gid ?? gid)) return false;
    return (await handle.readFile()).equals(Buffer.from(file.content));
  } catch {
    return false; // whatever hinders reading it, it is written anew
  } finally {
    await handle?.close();
  }
}

/** Makes its entries outlive a power failure. @param mode to give it first. */
export async function syncFolder(path: string, mode?: number): Promise<void> {
  const folder = await open(path, 'r');
  try {
    if (mode !== undefined) await folder.chmod(mode);
    await folder.sync();
  } finally {
    await folder.close();
  }
}
