/** The heap of this process as a file for Chrome's developer tools. It holds every private key that the process has. */
import { open, readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { getHeapStatistics, writeHeapSnapshot } from 'node:v8';
import { BonafideError } from '../errors/bonafide-error.js';
import type { Clock } from '../runtime/clock.js';
import { createPrivateDirectory } from '../runtime/private-file.js';

/** Writing stops the process, for a second or so each 100 MB, and takes as much memory again. */
const LARGEST_HEAP_BYTES = 1024 ** 3;
const SUFFIX = '.heapsnapshot';

interface WrittenHeap {
  readonly path: string;
  readonly size: number;
}

/**
 * Takes the place of one that was written there before: there is never more than one.
 * @param directory of this process alone. @throws BonafideError `failed_precondition` when the heap is too large to stop for.
 */
export async function writeHeap(directory: string, clock: Clock): Promise<WrittenHeap> {
  const { used_heap_size: used } = getHeapStatistics();
  if (used > LARGEST_HEAP_BYTES) {
    throw new BonafideError(
      'failed_precondition',
      `the heap is ${used} bytes; beyond ${LARGEST_HEAP_BYTES} it is not written, for the program would stand still too long`,
    );
  }
  await createPrivateDirectory(directory);
  for (const name of await readdir(directory)) {
    if (name.endsWith(SUFFIX)) await unlink(join(directory, name));
  }
  const path = join(directory, `${clock.now().toISOString().replaceAll(':', '-')}${SUFFIX}`);
  await (await open(path, 'wx', 0o600)).close();
  writeHeapSnapshot(path);
  return { path, size: (await stat(path)).size };
}
