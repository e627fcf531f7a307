/** Brings a database to today's tables, and refuses one that a newer release has written. */
import { Migrator, sql, type Kysely } from 'kysely';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { MIGRATIONS } from './migrations.js';
import type { Schema } from './schema.js';

const MIGRATION_TABLE = 'applied_migrations';

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
    migrationLockTableName: `${MIGRATION_TABLE}_lock`,
  });
  const { error } = await migrator.migrateToLatest();
  if (error instanceof BonafideError) throw error;
  if (error !== undefined) {
    throw new BonafideError('internal', `cannot migrate the database: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

async function refuseNewer(db: Kysely<Schema>, schema: string | undefined): Promise<void> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true });
  const isMigrated = tables.some((table) => table.name === MIGRATION_TABLE && table.schema === schema);
  if (!isMigrated) return;
  const { rows } = await sql<{
    name: string;
  }>`select name from ${sql.table(MIGRATION_TABLE)} order by name`.execute(db);
  const unknown = rows.map((row) => row.name).filter((name) => !Object.hasOwn(MIGRATIONS, name));
  const newest = unknown.at(-1);
  if (newest === undefined) return;
  throw new BonafideError(
    'failed_precondition',
    `the database was written by a newer release: it is at version ${newest}, the newest this release knows is ${newestKnown()}; run the newer release, or restore a backup from before the upgrade`,
  );
}

function newestKnown(): string {
  return Object.keys(MIGRATIONS).sort().at(-1) ?? 'none';
}
