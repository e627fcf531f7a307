import { constants, copyFileSync, linkSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Node under a name of the workload's own, by which agents tell one from the other. Links to a copy of the folder's own:
 * one to the program that everybody runs would change its state, also under agents that take its digest at that moment.
 * @returns the path.
 */
export function namedNode(folder: string, name: string): string {
  mkdirSync(folder, { recursive: true });
  const [copy, path] = [join(folder, '.node'), join(folder, name)];
  unlessThere(() => {
    copyFileSync(process.execPath, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  });
  unlessThere(() => {
    linkSync(copy, path);
  });
  return path;
}

function unlessThere(make: () => void): void {
  try {
    make();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
