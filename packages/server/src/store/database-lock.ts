/** One server to a database file: what a server holds in memory is only as true as it is alone in writing. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { createDatabaseFile } from './sqlite-database.js';
import { SqliteDriver } from './sqlite-driver.js';

export interface DatabaseLock {
  release(): void;
}

/**
 * The lock is one that the kernel takes back when the process dies, however it dies.
 * @param path of the database; the lock is a file beside it.
 * @throws BonafideError `failed_precondition` while another server has it.
 */
export async function lockDatabase(path: string): Promise<DatabaseLock> {
  const lockPath = `${path}.lock`;
  await createDatabaseFile(lockPath);
  let lock;
  try {
    lock = new SqliteDriver(lockPath, { timeout: 0 });
    lock.pragma('locking_mode = EXCLUSIVE');
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock?.close();
    if (error instanceof SqliteDriver.SqliteError && error.code.startsWith('SQLITE_BUSY')) {
      throw new BonafideError(
        'failed_precondition',
        `the database ${path} is in use by another server; stop that one, or give this one a data_dir of its own`,
        { cause: error },
      );
    }
    throw new BonafideError('unavailable', `cannot lock the database ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  const held = lock;
  return { release: () => held.close() };
}
