/** Where the configuration file is when nobody says it. */
import { access } from 'node:fs/promises';

/** The first of them that is there; the first of all when none is, so that a message names it. */
export async function findConfigFile(candidates: readonly [string, ...string[]]): Promise<string> {
  for (const path of candidates) {
    try {
      await access(path);
      return path;
    } catch {
      // The next may be there.
    }
  }
  return candidates[0];
}
