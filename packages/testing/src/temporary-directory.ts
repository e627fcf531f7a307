/** A folder of a test's own, gone with everything in it when the test is done. */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
  /** A path inside the folder. */
  join(...segments: readonly string[]): string;
  remove(): void;
}

interface TemporaryDirectoryOptions {
  /** Other users may enter and read (0755), for tests in which several uids meet; otherwise 0700. */
  readonly isPublic?: boolean;
}

/**
 * Short paths, so that Unix sockets fit in (their limit is 107 bytes).
 * @example
 * using directory = createTemporaryDirectory();
 * await writeFile(directory.join('server.yaml'), text);
 */
export function createTemporaryDirectory(options: TemporaryDirectoryOptions = {}): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), 'bonafide-'));
  if (options.isPublic === true) chmodSync(path, 0o755);
  const remove = (): void => {
    rmSync(path, { recursive: true, force: true, maxRetries: 5 });
  };
  return { path, join: (...segments) => join(path, ...segments), remove, [Symbol.dispose]: remove };
}
