/** SQLite behind the query builder: a file for its owner alone, nothing acknowledged before it is on the disk, errors in our words. */
import { chmod, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type SqliteConnection from 'better-sqlite3';
import { Kysely, SqliteDialect, type SqliteStatement } from 'kysely';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { createPrivateDirectory } from '@bonafide/shared/runtime/private-file';
import type { Schema } from './sql/schema.js';
import { SqliteDriver } from './sqlite-driver.js';

export const IN_MEMORY = ':memory:';
const MAX_PREPARED = 500;
const BUSY_TIMEOUT_MS = 5000;

/** Creates the file as 0600, in a 0700 folder when the folder is not there yet. */
export async function createDatabaseFile(path: string): Promise<void> {
  try {
    await createPrivateDirectory(dirname(path));
    const file = await open(path, 'a', 0o600);
    await file.close();
    await chmod(path, 0o600);
  } catch (error) {
    throw new BonafideError('unavailable', `cannot open the database ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** @param access a `read` connection sees committed data only, and never waits for the one that writes. */
export function connectSqlite(path: string, access: 'write' | 'read'): Kysely<Schema> {
  let connection;
  try {
    connection = new SqliteDriver(path, { timeout: BUSY_TIMEOUT_MS });
    if (access === 'write') connection.pragma('journal_mode = WAL');
    connection.pragma('synchronous = FULL');
    connection.pragma('foreign_keys = ON');
    connection.pragma('cache_size = -32000');
    if (access === 'read') connection.pragma('query_only = ON');
  } catch (error) {
    connection?.close();
    throw translate(error, path);
  }
  return new Kysely<Schema>({ dialect: new SqliteDialect({ database: preparing(connection, path) }) });
}

/** Keeps statements prepared, and is the one door through which SQLite's errors leave. */
function preparing(
  connection: SqliteConnection.Database,
  path: string,
): { prepare: (text: string) => SqliteStatement; close: () => void } {
  const prepared = new Map<string, SqliteStatement>();
  const guarded = <T>(run: () => T): T => {
    try {
      return run();
    } catch (error) {
      throw translate(error, path);
    }
  };
  return {
    prepare(text) {
      // A full disk makes SQLite roll back by itself; rolling back again would hide why.
      if (text === 'rollback' && !connection.inTransaction) return NOTHING_TO_DO;
      const known = prepared.get(text);
      if (known !== undefined) return known;
      const statement = guarded(() => connection.prepare(text));
      const guardedStatement: SqliteStatement = {
        reader: statement.reader,
        all: statement.reader ? readRows(statement, guarded) : () => [],
        run: (parameters) => guarded(() => statement.run(...parameters)),
        iterate: (parameters) => statement.iterate(...parameters),
      };
      if (prepared.size >= MAX_PREPARED) prepared.clear();
      prepared.set(text, guardedStatement);
      return guardedStatement;
    },
    close: () => connection.close(),
  };
}

/** Makes the row objects itself: half the time of having the driver make them, which is most of the time of loading the registry. */
function readRows(
  statement: SqliteConnection.Statement,
  guarded: <T>(run: () => T) => T,
): SqliteStatement['all'] {
  const names = statement.columns().map((column) => column.name);
  statement.raw();
  return (parameters) => {
    const rows = guarded(() => statement.all(...parameters)) as readonly (readonly unknown[])[];
    return rows.map((values) => {
      const row: Record<string, unknown> = {};
      for (const [index, name] of names.entries()) row[name] = values[index];
      return row;
    });
  };
}

const NOTHING_TO_DO: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [].values(),
};

function translate(error: unknown, path: string): unknown {
  if (!(error instanceof SqliteDriver.SqliteError)) return error;
  const fail = (
    reason: 'unavailable' | 'failed_precondition' | 'already_exists',
    text: string,
  ): BonafideError => new BonafideError(reason, text, { cause: error });
  const { code } = error;
  if (code === 'SQLITE_FULL') {
    return fail(
      'unavailable',
      `the disk that holds the database ${path} is full; nothing was changed, free some space and try again`,
    );
  }
  if (code.startsWith('SQLITE_IOERR')) {
    return fail('unavailable', `cannot read or write the database ${path}: ${error.message} (${code})`);
  }
  if (code.startsWith('SQLITE_READONLY')) {
    return fail('unavailable', `the database ${path} is read-only; nothing was changed`);
  }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return fail('unavailable', `the database ${path} is locked by another process`);
  }
  if (code.startsWith('SQLITE_CANTOPEN')) {
    return fail('unavailable', `cannot open the database ${path}: ${error.message}`);
  }
  if (code === 'SQLITE_NOTADB') {
    return fail('failed_precondition', `${path} is not a database of this program`);
  }
  if (code === 'SQLITE_CONSTRAINT_FOREIGNKEY') {
    return fail('failed_precondition', 'the change would leave a reference to something that does not exist');
  }
  if (code === 'SQLITE_CONSTRAINT_PRIMARYKEY' || code === 'SQLITE_CONSTRAINT_UNIQUE') {
    return fail('already_exists', 'the same row is there already');
  }
  return error;
}
