/** SPIRE's SQLite file, opened for reading alone. */
import { open } from 'node:fs/promises';
import type SqliteConnection from 'better-sqlite3';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { SqliteDriver } from '../sqlite-driver.js';
import {
  quoteName,
  selectText,
  type SpireDatabase,
  type SpireRow,
  type SpireTable,
} from './spire-database.js';

const BUSY_TIMEOUT_MS = 5000;
/** SPIRE's own limit of a bundle, which is its largest value, with room. */
const LARGEST_VALUE_BYTES = 32 * 1024 * 1024;

/** @throws BonafideError `not_found` or `failed_precondition` saying what is wrong with the file. */
export async function openSpireSqlite(path: string): Promise<SpireDatabase> {
  await checkFile(path);
  let connection: SqliteConnection.Database | undefined;
  try {
    connection = new SqliteDriver(path, { readonly: true, fileMustExist: true, timeout: BUSY_TIMEOUT_MS });
    connection.pragma('query_only = ON');
    // A file made by an enemy must not run what its schema says (sqlite.org/security.html).
    connection.pragma('trusted_schema = OFF');
    connection.pragma('cell_size_check = ON');
    connection.exec('BEGIN');
    const opened = connection;
    inFile(path, () => opened.prepare('SELECT count(*) FROM sqlite_master').get());
    return new SpireSqlite(path, opened);
  } catch (error) {
    connection?.close();
    throw translated(path, error);
  }
}

class SpireSqlite implements SpireDatabase {
  readonly description: string;
  readonly #path: string;
  readonly #connection: SqliteConnection.Database;

  constructor(path: string, connection: SqliteConnection.Database) {
    this.#path = path;
    this.description = `the SQLite file ${path}`;
    this.#connection = connection;
  }

  columnsOf(table: string): Promise<ReadonlySet<string>> {
    return Promise.resolve(
      inFile(this.#path, () => {
        const kind = this.#connection.prepare('SELECT type FROM sqlite_master WHERE name = ?').get(table);
        // A view could compute anything.
        if ((kind as { readonly type?: unknown } | undefined)?.type !== 'table') return new Set<string>();
        const columns = this.#connection.prepare(`PRAGMA table_info(${quoteName(table)})`).all();
        return new Set(columns.map((column) => String((column as { readonly name: unknown }).name)));
      }),
    );
  }

  async *rows(table: SpireTable): AsyncGenerator<SpireRow, void, undefined> {
    const statement = inFile(this.#path, () => {
      const prepared = this.#connection.prepare(selectText(table));
      prepared.safeIntegers(true);
      return prepared;
    });
    const rows = statement.iterate() as IterableIterator<SpireRow, undefined>;
    try {
      for (;;) {
        const next = inFile(this.#path, () => rows.next());
        if (next.done === true) return;
        yield checkSize(table, next.value);
      }
    } finally {
      rows.return?.();
      await Promise.resolve();
    }
  }

  close(): Promise<void> {
    this.#connection.close();
    return Promise.resolve();
  }
}

function checkSize(table: SpireTable, row: SpireRow): SpireRow {
  for (const [name, value] of Object.entries(row)) {
    const size = typeof value === 'string' || Buffer.isBuffer(value) ? value.length : 0;
    if (size > LARGEST_VALUE_BYTES) {
      throw new BonafideError(
        'failed_precondition',
        `${table.name}.${name} has a value of ${size} bytes; SPIRE writes no such thing`,
      );
    }
  }
  return row;
}

async function checkFile(path: string): Promise<void> {
  try {
    const file = await open(path, 'r');
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(16), 0, 16, 0);
      if (bytesRead === 16 && buffer.toString('latin1') === 'SQLite format 3\0') return;
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new BonafideError(
        'not_found',
        `there is no file ${path}; name SPIRE's database, its connection_string`,
      );
    }
    throw new BonafideError('failed_precondition', `cannot read ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  throw new BonafideError('failed_precondition', `${path} is not an SQLite database`);
}

function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translated(path, error);
  }
}

function translated(path: string, error: unknown): unknown {
  if (!(error instanceof SqliteDriver.SqliteError)) return error;
  const { code, message } = error;
  const damaged = code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB';
  const text = damaged
    ? `the SQLite file ${path} is damaged (${message}); copy it while SPIRE is stopped, or with: sqlite3 ${path} .backup`
    : `cannot read the SQLite file ${path}: ${message}`;
  return new BonafideError(damaged ? 'failed_precondition' : 'unavailable', text, { cause: error });
}
