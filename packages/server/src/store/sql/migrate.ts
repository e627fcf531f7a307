/** Brings a database to today's tables, and refuses one that a newer release has written. */
import { Migrator, sql, type Kysely } from 'kysely';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { MIGRATIONS } from './migrations.js';
import type { Schema } from './schema.js';

export const MIGRATION_TABLE = 'applied_migrations';
const LOCK_TABLE = `${MIGRATION_TABLE}_lock`;

/**
 * Of several servers that start at once, one does it and the others wait.
 * @param schema of a database that has several, in which the tables are.
 * @throws BonafideError `failed_precondition` for a database of a newer release; nothing in it is touched.
 */
export async function migrate(db: Kysely<Schema>, schema?: string): Promise<void> {
  await refuseNewer(db, schema);
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) },
    migrationTableName: MIGRATION_TABLE,
    migrationLockTableName: LOCK_TABLE,
  });
  const { error } = await migrator.migrateToLatest();
  if (error instanceof BonafideError) throw error;
  if (error !== undefined) {
    throw new BonafideError('internal', `cannot migrate the database: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** @throws BonafideError `failed_precondition` for a database of a newer release. */
export async function refuseNewer(db: Kysely<Schema>, schema: string | undefined): Promise<void> {
  if (!(await hasMigrations(db, schema))) return;
  const newest = unknownMigrations(await appliedMigrations(db)).at(-1);
  if (newest === undefined) return;
  throw new BonafideError(
    'failed_precondition',
    `the database was written by a newer release: it is at version ${newest}, the newest this release knows is ${newestKnown()}; run the newer release, or restore a backup from before the upgrade`,
  );
}

/** What an open would still do; undefined for a database without tables of ours. */
export async function missingMigrations(
  db: Kysely<Schema>,
  schema: string | undefined,
): Promise<readonly string[] | undefined> {
  if (!(await hasMigrations(db, schema))) return undefined;
  const applied = new Set(await appliedMigrations(db));
  return Object.keys(MIGRATIONS).filter((name) => !applied.has(name));
}

async function hasMigrations(db: Kysely<Schema>, schema: string | undefined): Promise<boolean> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  return tables.some((table) => table.name === MIGRATION_TABLE && table.schema === schema);
}

/** In the order of their names, which is the order in which they were made. */
export async function appliedMigrations(db: Kysely<Schema>): Promise<readonly string[]> {
  const { rows } = await sql<{
    name: string;
  }>`select name from ${sql.table(MIGRATION_TABLE)} order by name`.execute(db);
  return rows.map((row) => row.name);
}

/** Of a newer release. */
export function unknownMigrations(names: readonly string[]): readonly string[] {
  return names.filter((name) => !Object.hasOwn(MIGRATIONS, name));
}

/**
 * Makes the tables of an earlier release in an empty database, inside the caller's transaction, so that a copy from then fits into them.
 * The next start brings them to today's.
 */
export async function makeTables(
  transaction: Kysely<Schema>,
  names: readonly string[],
  now: Date,
): Promise<void> {
  await transaction.schema
    .createTable(MIGRATION_TABLE)
    .addColumn('name', 'varchar(255)', (column) => column.notNull().primaryKey())
    .addColumn('timestamp', 'varchar(255)', (column) => column.notNull())
    .execute();
  await transaction.schema
    .createTable(LOCK_TABLE)
    .addColumn('id', 'varchar(255)', (column) => column.notNull().primaryKey())
    .addColumn('is_locked', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
  await sql`insert into ${sql.table(LOCK_TABLE)} (id, is_locked) values ('migration_lock', 0)`.execute(
    transaction,
  );
  for (const name of names) {
    const migration = MIGRATIONS[name];
    if (migration === undefined) throw new BonafideError('internal', `there is no migration ${name}`);
    await migration.up(transaction);
    await sql`insert into ${sql.table(MIGRATION_TABLE)} (name, timestamp)
      values (${name}, ${now.toISOString()})`.execute(transaction);
  }
}

export function newestKnown(): string {
  return Object.keys(MIGRATIONS).sort().at(-1) ?? 'none';
}
