/** A place to bring a dump back to: an empty database, or one that is kept aside. */
import { link, rename, rm, stat } from 'node:fs/promises';
import { sql, type Transaction } from 'kysely';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { replaceFile } from '@bonafide/shared/runtime/private-file';
import { lockDatabase } from '../database-lock.js';
import { preparePostgres } from '../postgres/access.js';
import { connectPostgres } from '../postgres/database.js';
import { LISTENER_PREFIX } from '../postgres/open-postgres-store.js';
import { parsePostgresTarget } from '../postgres/target.js';
import { BytewiseText } from '../sql/bytewise-text.js';
import { MIGRATION_TABLE } from '../sql/migrate.js';
import type { Schema } from '../sql/schema.js';
import { connectSqlite, createDatabaseFile } from '../sqlite-database.js';
import type { DumpTarget } from './database-dump.js';
import { loadDump, type LoadedDump, type LoadResult } from './load-dump.js';
import { REGISTRY_TABLES } from './tables.js';

interface Replacing {
  /** A database that holds something is kept aside under a name with this suffix; undefined: it is refused. */
  readonly asideSuffix: string | undefined;
}

interface Restored extends LoadResult {
  /** Where what was there is now. */
  readonly aside: string | undefined;
}

/**
 * @throws BonafideError `failed_precondition` when a server uses the database, or when it holds something that is not to be kept aside.
 */
export function restoreDump(target: DumpTarget, dump: LoadedDump, replacing: Replacing): Promise<Restored> {
  return target.kind === 'sqlite'
    ? restoreSqlite(target.path, dump, replacing)
    : restorePostgres(target.url, dump, replacing);
}

/** Beside the database, and in its place in one step when it is complete: whatever happens, one of the two is there. */
async function restoreSqlite(path: string, dump: LoadedDump, { asideSuffix }: Replacing): Promise<Restored> {
  await createDatabaseFile(`${path}.lock`);
  const lock = await lockDatabase(path);
  const unfinished = `${path}.restoring`;
  try {
    const isThere = await exists(path);
    if (isThere && asideSuffix === undefined) throw notEmpty(path);
    await removeDatabase(unfinished);
    await createDatabaseFile(unfinished);
    const db = connectSqlite(unfinished, 'write');
    let result;
    try {
      result = await db.transaction().execute((transaction) => loadDump(transaction, transaction, dump));
      await sql`pragma wal_checkpoint(truncate)`.execute(db);
    } finally {
      await db.destroy();
    }
    const aside = isThere ? `${path}${asideSuffix ?? ''}` : undefined;
    if (aside !== undefined) await keepAside(path, aside);
    await replaceFile(unfinished, path);
    return { ...result, aside };
  } finally {
    await removeDatabase(unfinished);
    lock.release();
  }
}

/** What its log holds belongs to the file by its name. */
async function keepAside(path: string, aside: string): Promise<void> {
  await link(path, aside);
  for (const suffix of ['-wal', '-shm']) {
    if (await exists(`${path}${suffix}`)) await rename(`${path}${suffix}`, `${aside}${suffix}`);
  }
}

async function removeDatabase(path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm', '-journal']) await rm(`${path}${suffix}`, { force: true });
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}

async function restorePostgres(url: string, dump: LoadedDump, { asideSuffix }: Replacing): Promise<Restored> {
  const target = parsePostgresTarget(url);
  const { db } = connectPostgres(await preparePostgres(target), { maxConnections: 1, statementLimitMs: 0 });
  try {
    return await db.transaction().execute(async (transaction) => {
      await refuseWhileServed(transaction);
      const present = await presentTables(transaction);
      if (present.length > 0 && asideSuffix === undefined) throw notEmpty(`of ${target.database}`);
      const aside =
        present.length === 0 ? undefined : `bonafide${asideSuffix ?? ''}`.replaceAll(/[^a-z0-9_]/gi, '_');
      if (aside !== undefined) await moveTables(transaction, present, aside);
      const result = await loadDump(transaction, transaction.withPlugin(new BytewiseText()), dump);
      return { ...result, aside: aside === undefined ? undefined : `the schema ${aside}` };
    });
  } finally {
    await db.destroy();
  }
}

/** What servers hold in memory would be written over what is brought back. */
async function refuseWhileServed(transaction: Transaction<Schema>): Promise<void> {
  const { rows } = await sql<{ name: string }>`select application_name as name from pg_stat_activity
    where datname = current_database() and application_name like ${`${LISTENER_PREFIX}%`}`.execute(
    transaction,
  );
  const names = [...new Set(rows.map(({ name }) => name.slice(LISTENER_PREFIX.length)))];
  if (names.length === 0) return;
  throw new BonafideError(
    'failed_precondition',
    `the database is in use by ${names.length === 1 ? 'the server' : 'the servers'} with the ID ${names.join(', ')}; stop every server of this database first`,
  );
}

async function presentTables(transaction: Transaction<Schema>): Promise<readonly string[]> {
  const { rows } = await sql<{ name: string }>`select tablename as name from pg_tables
    where schemaname = current_schema()`.execute(transaction);
  const ours = new Set([...REGISTRY_TABLES, MIGRATION_TABLE, `${MIGRATION_TABLE}_lock`]);
  return rows.map(({ name }) => name).filter((name) => ours.has(name));
}

async function moveTables(
  transaction: Transaction<Schema>,
  names: readonly string[],
  schema: string,
): Promise<void> {
  await transaction.schema.createSchema(schema).execute();
  for (const name of names) {
    await sql`alter table ${sql.table(name)} set schema ${sql.id(schema)}`.execute(transaction);
  }
}

function notEmpty(what: string): BonafideError {
  return new BonafideError(
    'failed_precondition',
    `the database ${what} is there already; name an empty one, or keep this one aside with --force`,
  );
}
