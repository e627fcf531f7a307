/** Folders in the form of `/proc/<pid>` for tests of what reads them: control groups, mounts and namespaces as a test wants them. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ProcessFolder {
  /** Lines of the file `cgroup`. */
  readonly cgroups: readonly string[];
  /** Lines of the file `mountinfo`. */
  readonly mounts?: readonly string[];
  /** By their names in the folder `ns`; each is the inode. Those of this machine's first process unless told. */
  readonly namespaces?: Readonly<Record<string, number>>;
}

const FIRST_NAMESPACES = { user: 4026531837, pid: 4026531836, mnt: 4026531841 };

/** @returns the folder's path, for `AttestedProcess.procPath`. */
export function writeProcessFolder(
  path: string,
  { cgroups, mounts = [], namespaces = {} }: ProcessFolder,
): string {
  rmSync(path, { recursive: true, force: true });
  mkdirSync(join(path, 'ns'), { recursive: true });
  writeFileSync(join(path, 'cgroup'), fileOf(cgroups));
  writeFileSync(join(path, 'mountinfo'), fileOf(mounts));
  for (const [name, inode] of Object.entries({ ...FIRST_NAMESPACES, ...namespaces })) {
    symlinkSync(`${name}:[${inode}]`, join(path, 'ns', name));
  }
  return path;
}

function fileOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}
