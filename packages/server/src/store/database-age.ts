/** How old the tables of a database are, told without changing anything of it. */
import { sql, type Kysely } from 'kysely';
import { missingMigrations, refuseNewer } from './sql/migrate.js';
import type { Schema } from './sql/schema.js';
import { preparePostgres } from './postgres/access.js';
import { connectPostgres } from './postgres/database.js';
import { parsePostgresTarget } from './postgres/target.js';
import { connectSqlite } from './sqlite-database.js';

/** `empty`: without a table of ours; `older`: an earlier release made them, and opening the database would bring them to today's. */
export type DatabaseAge = 'empty' | 'older' | 'current';

/** @throws BonafideError `failed_precondition` for a database of a newer release, `unavailable` for a file that is not there. */
export function sqliteAge(path: string): Promise<DatabaseAge> {
  return ageOf(connectSqlite(path, 'read'), () => Promise.resolve(undefined));
}

/** @param url or libpq's keywords and values. @throws BonafideError as `sqliteAge`, and `unavailable` when it cannot be reached. */
export async function postgresAge(url: string): Promise<DatabaseAge> {
  const access = await preparePostgres(parsePostgresTarget(url));
  const { db } = connectPostgres(access, { maxConnections: 1, statementLimitMs: 0 });
  return ageOf(db, async () => {
    const { rows } = await sql<{ schema: string | null }>`select current_schema() as schema`.execute(db);
    return rows[0]?.schema ?? undefined;
  });
}

async function ageOf(
  db: Kysely<Schema>,
  findSchema: () => Promise<string | undefined>,
): Promise<DatabaseAge> {
  try {
    const schema = await findSchema();
    await refuseNewer(db, schema);
    const missing = await missingMigrations(db, schema);
    return missing === undefined ? 'empty' : missing.length > 0 ? 'older' : 'current';
  } finally {
    await db.destroy();
  }
}
