/** One server to a database file and to a data folder: what a server holds in memory is only as true as it is alone in writing. */
import { join } from 'node:path';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { createDatabaseFile } from './sqlite-database.js';
import { SqliteDriver } from './sqlite-driver.js';

export interface DatabaseLock {
  release(): void;
}

/**
 * @param path of the database; the lock is a file beside it.
 * @throws BonafideError `failed_precondition` while another server has it.
 */
export function lockDatabase(path: string): Promise<DatabaseLock> {
  return lockFile(`${path}.lock`, `the database ${path}`);
}

/** @throws BonafideError `failed_precondition` while another server has it. */
export function lockDataFolder(path: string): Promise<DatabaseLock> {
  return lockFile(join(path, 'server.lock'), `the data_dir ${path}`);
}

/** The lock is one that the kernel takes back when the process dies, however it dies. */
async function lockFile(lockPath: string, what: string): Promise<DatabaseLock> {
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
        `${what} is in use by another server; stop that one, or give this one a data_dir of its own`,
        { cause: error },
      );
    }
    throw new BonafideError('unavailable', `cannot lock ${what}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  const held = lock;
  return { release: () => held.close() };
}
