/**
 * Files that change together: they lie in a folder a version, and what readers open by name are links through `..data`, which one rename
 * moves from a version to the next. Whoever reads, and whenever this process is killed, never finds files of two versions.
 */
import { randomBytes } from 'node:crypto';
import { link, lstat, mkdir, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { createDirectory } from '@bonafide/shared/runtime/create-directory';
import type { FolderLock } from './folder-lock.js';
import { requireTrustedFolder } from './trusted-folder.js';
import { isSameFile, syncFolder, writeNewFile, type FileToWrite, type Ownership } from './write-new-file.js';

interface VersionedFolderOptions {
  readonly path: string;
  readonly ownership: Ownership;
  /** Taken when the folder is prepared; undefined: the caller sees to it that nobody else writes here. */
  readonly lock?: FolderLock;
}

/** As Kubernetes has it for the volumes of Secrets. */
const CURRENT = '..data';
const VERSION = /^\.\.v-[0-9a-f]{16}$/;
const UNFINISHED = /^\.\.link-[0-9a-f]{16}$/;
const FOLDER_MODE = 0o755;

export class VersionedFolder {
  readonly #path: string;
  readonly #ownership: Ownership;
  readonly #lock: FolderLock | undefined;

  constructor({ path, ownership, lock }: VersionedFolderOptions) {
    this.#path = path;
    this.#ownership = ownership;
    this.#lock = lock;
  }

  /**
   * Makes the folder when it is missing, and clears what a killed process left.
   * @throws BonafideError `failed_precondition` when others could change what is in it or another process writes there, `unavailable` when it cannot be used.
   */
  async prepare(): Promise<void> {
    try {
      await createDirectory(this.#path, FOLDER_MODE);
    } catch (error) {
      throw new BonafideError('unavailable', `cannot make the folder ${this.#path}: ${errorMessage(error)}`, {
        cause: error,
      });
    }
    await requireTrustedFolder(this.#path);
    this.#lock?.take();
    await this.#clear([await this.#current()]);
  }

  /**
   * Puts these files in place of all that are there.
   * @param kept names of files that stay as they are where `files` has no newer.
   * @returns false when that is how it is already.
   * @throws BonafideError `unavailable`; what was there is still there.
   */
  async replace(files: readonly FileToWrite[], kept: readonly string[] = []): Promise<boolean> {
    try {
      return await this.#replace(files, kept);
    } catch (error) {
      throw new BonafideError(
        'unavailable',
        `cannot write to ${this.#path}: ${errorMessage(error)}; the files that were there stay in place`,
        { cause: error },
      );
    }
  }

  /** Takes the files away, and the folder too when nothing else is in it. */
  async remove(): Promise<void> {
    const found = await lstat(this.#path).catch(() => undefined); // gone already
    if (found === undefined) return;
    for (const name of await this.#links()) await rm(join(this.#path, name), { force: true });
    await rm(join(this.#path, CURRENT), { force: true });
    await this.#clear([]);
    const left = await readdir(this.#path);
    if (left.length === 0) await rm(this.#path, { recursive: true, force: true });
    else await syncFolder(this.#path);
  }

  async #replace(files: readonly FileToWrite[], kept: readonly string[]): Promise<boolean> {
    const names = files.map(({ name }) => name);
    let former = await this.#current();
    former ??= await this.#adopt(names);
    const stays = former === undefined ? [] : await this.#present(former, kept, names);
    const wanted = [...names, ...stays];
    if (former !== undefined && (await this.#isUpToDate(former, files, wanted))) {
      await this.#placeLinks(wanted);
      return false;
    }
    const version = `..v-${randomBytes(8).toString('hex')}`;
    const folder = join(this.#path, version);
    await mkdir(folder, { mode: 0o700 });
    try {
      for (const file of files) await writeNewFile(folder, file, this.#ownership);
      for (const name of stays) await link(join(this.#path, former ?? '', name), join(folder, name));
      await syncFolder(folder, FOLDER_MODE);
      await this.#point(CURRENT, version);
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    await this.#placeLinks(wanted);
    await syncFolder(this.#path);
    // A program that has the former folder open may still read the other half of what it began with.
    await this.#clear([version, former]);
    return true;
  }

  /** The version that readers see. */
  async #current(): Promise<string | undefined> {
    const target = await this.#linkTarget(CURRENT);
    if (target === undefined || !VERSION.test(target)) return undefined;
    const found = await lstat(join(this.#path, target)).catch(() => undefined); // a link that leads nowhere is no version
    return found?.isDirectory() === true ? target : undefined;
  }

  /** Plain files of the same names become the first version, so that they too go all at once. */
  async #adopt(names: readonly string[]): Promise<string | undefined> {
    const plain: string[] = [];
    for (const name of names) {
      const found = await lstat(join(this.#path, name)).catch(() => undefined); // most often there is none
      if (found?.isFile() === true) plain.push(name);
    }
    if (plain.length === 0) return undefined;
    const version = `..v-${randomBytes(8).toString('hex')}`;
    const folder = join(this.#path, version);
    await mkdir(folder, { mode: 0o700 });
    for (const name of plain) await link(join(this.#path, name), join(folder, name));
    await syncFolder(folder, FOLDER_MODE);
    await this.#point(CURRENT, version);
    await this.#placeLinks(plain);
    return version;
  }

  async #present(
    version: string,
    kept: readonly string[],
    replaced: readonly string[],
  ): Promise<readonly string[]> {
    const there = new Set(await readdir(join(this.#path, version)));
    return kept.filter((name) => there.has(name) && !replaced.includes(name));
  }

  async #isUpToDate(
    version: string,
    files: readonly FileToWrite[],
    wanted: readonly string[],
  ): Promise<boolean> {
    const folder = join(this.#path, version);
    if ((await readdir(folder)).length !== wanted.length) return false;
    for (const file of files) if (!(await isSameFile(folder, file, this.#ownership))) return false;
    return true;
  }

  /** Each name leads through `..data`; names that are not wanted any more go. */
  async #placeLinks(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const target = `${CURRENT}/${name}`;
      if ((await this.#linkTarget(name)) !== target) await this.#point(name, target);
    }
    for (const name of await this.#links())
      if (!names.includes(name)) await rm(join(this.#path, name), { force: true });
  }

  async #links(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const entry of await readdir(this.#path, { withFileTypes: true })) {
      if (!entry.isSymbolicLink() || entry.name === CURRENT) continue;
      if ((await this.#linkTarget(entry.name)) === `${CURRENT}/${entry.name}`) found.push(entry.name);
    }
    return found;
  }

  async #point(name: string, target: string): Promise<void> {
    const temporary = join(this.#path, `..link-${randomBytes(8).toString('hex')}`);
    await symlink(target, temporary);
    try {
      await rename(temporary, join(this.#path, name));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async #linkTarget(name: string): Promise<string | undefined> {
    return readlink(join(this.#path, name)).catch(() => undefined); // not there, or no link: in either case not ours
  }

  async #clear(versions: readonly (string | undefined)[]): Promise<void> {
    for (const name of await readdir(this.#path)) {
      const isLeft = UNFINISHED.test(name) || (VERSION.test(name) && !versions.includes(name));
      if (isLeft) await rm(join(this.#path, name), { recursive: true, force: true });
    }
  }
}

/** Whether a folder holds versions of ours. */
export async function isVersionedFolder(path: string): Promise<boolean> {
  const target = await readlink(join(path, CURRENT)).catch(() => ''); // not there, or no link
  return VERSION.test(target);
}
