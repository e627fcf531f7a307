/** Everything in a database as of one commit, read table by table while servers go on writing; the same from SQLite and PostgreSQL. */
import { stat } from 'node:fs/promises';
import { sql, type ControlledTransaction, type Kysely } from 'kysely';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { preparePostgres } from '../postgres/access.js';
import { connectPostgres } from '../postgres/database.js';
import { parsePostgresTarget } from '../postgres/target.js';
import { logPosition } from '../sql/change-log.js';
import { appliedMigrations, MIGRATION_TABLE, refuseNewer } from '../sql/migrate.js';
import type { Schema } from '../sql/schema.js';
import { connectSqlite } from '../sqlite-database.js';
import type { LogPosition } from '../store.js';
import { copiedTables } from './tables.js';

type DumpedValue = string | number | null;
export type DumpedRow = readonly DumpedValue[];

export interface DumpedTable {
  readonly name: string;
  readonly columns: readonly string[];
}

export type DumpTarget =
  { readonly kind: 'sqlite'; readonly path: string } | { readonly kind: 'postgres'; readonly url: string };

export interface DatabaseDump extends AsyncDisposable {
  readonly position: LogPosition;
  readonly logId: string;
  /** The steps that made its tables, the newest last. */
  readonly migrations: readonly string[];
  readonly tables: readonly DumpedTable[];
  /** How many rows the table has; only to show how far it has come. */
  count(table: DumpedTable): Promise<number>;
  /** A page at a time; as it was when the dump was opened. */
  rows(table: DumpedTable): AsyncIterable<readonly DumpedRow[]>;
}

type Values = Readonly<Record<string, unknown>>;
type Pages = (transaction: Kysely<Schema>, table: DumpedTable) => AsyncIterable<readonly Values[]>;

const ROWS_AT_ONCE = 500;
const ROW_ID = 'row_id_of_the_dump';

/**
 * Reads the database itself, beside the server: a reader of a write-ahead log, or of a snapshot, holds no writer up.
 * @throws BonafideError `not_found` when there is none, `failed_precondition` for one of a newer release or that is not ours.
 */
export async function openDump(target: DumpTarget): Promise<DatabaseDump> {
  if (target.kind === 'postgres') {
    const access = await preparePostgres(parsePostgresTarget(target.url));
    const { db } = connectPostgres(access, { maxConnections: 1, statementLimitMs: 0 });
    return open(db, readByCursor, 'of the database');
  }
  if ((await stat(target.path).catch(() => undefined)) === undefined) {
    throw new BonafideError('not_found', `there is no database ${target.path}; has the server ever run?`);
  }
  return open(connectSqlite(target.path, 'read'), readByRowId, target.path);
}

async function open(db: Kysely<Schema>, pages: Pages, where: string): Promise<DatabaseDump> {
  try {
    const isPostgres = pages === readByCursor;
    const begin = db.startTransaction();
    const transaction = await (
      isPostgres ? begin.setIsolationLevel('repeatable read').setAccessMode('read only') : begin
    ).execute();
    return await describe(db, transaction, pages, where);
  } catch (error) {
    await db.destroy();
    throw error;
  }
}

async function describe(
  db: Kysely<Schema>,
  transaction: ControlledTransaction<Schema>,
  pages: Pages,
  where: string,
): Promise<DatabaseDump> {
  const schema = pages === readByCursor ? await currentSchema(transaction) : undefined;
  const found = (await transaction.introspection.getTables({ withInternalKyselyTables: true })).filter(
    (table) => table.schema === schema,
  );
  const columns = new Map(found.map((table) => [table.name, table.columns.map(({ name }) => name)]));
  if (!columns.has(MIGRATION_TABLE) || !columns.has('log_head')) {
    throw new BonafideError(
      'failed_precondition',
      `there is no registry in ${where}; has the server ever run?`,
    );
  }
  await refuseNewer(transaction, schema);
  const { log_id: logId } = await transaction
    .selectFrom('log_head')
    .select('log_id')
    .executeTakeFirstOrThrow();
  return {
    logId,
    position: await logPosition(transaction),
    migrations: await appliedMigrations(transaction),
    tables: copiedTables(new Set(columns.keys())).map((name) => ({
      name,
      columns: columns.get(name) ?? [],
    })),
    count: async ({ name }) => {
      const { rows } = await sql<{ count: number }>`select count(*) as count from ${sql.table(name)}`.execute(
        transaction,
      );
      return rows[0]?.count ?? 0;
    },
    rows: async function* (table) {
      for await (const page of pages(transaction, table)) {
        yield page.map((row) => table.columns.map((column) => dumped(row[column], table.name, column)));
      }
    },
    [Symbol.asyncDispose]: async () => {
      await transaction.rollback().execute();
      await db.destroy();
    },
  };
}

async function currentSchema(db: Kysely<Schema>): Promise<string | undefined> {
  const { rows } = await sql<{ schema: string | null }>`select current_schema() as schema`.execute(db);
  return rows[0]?.schema ?? undefined;
}

async function* readByRowId(
  transaction: Kysely<Schema>,
  { name }: DumpedTable,
): AsyncIterable<readonly Values[]> {
  for (let after = -1; ;) {
    const { rows } = await sql<Values>`select rowid as ${sql.ref(ROW_ID)}, * from ${sql.table(name)}
      where rowid > ${after} order by rowid limit ${sql.lit(ROWS_AT_ONCE)}`.execute(transaction);
    if (rows.length > 0) yield rows;
    if (rows.length < ROWS_AT_ONCE) return;
    after = Number(rows.at(-1)?.[ROW_ID]);
  }
}

async function* readByCursor(
  transaction: Kysely<Schema>,
  { name }: DumpedTable,
): AsyncIterable<readonly Values[]> {
  await sql`declare dumped no scroll cursor for select * from ${sql.table(name)}`.execute(transaction);
  try {
    for (;;) {
      const { rows } = await sql<Values>`fetch ${sql.lit(ROWS_AT_ONCE)} from dumped`.execute(transaction);
      if (rows.length > 0) yield rows;
      if (rows.length < ROWS_AT_ONCE) break;
    }
  } finally {
    await sql`close dumped`.execute(transaction);
  }
}

function dumped(value: unknown, table: string, column: string): DumpedValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value;
  throw new BonafideError('internal', `the column ${table}.${column} holds neither text nor a number`);
}
