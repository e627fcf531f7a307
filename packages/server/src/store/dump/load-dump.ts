/** Fills an empty database from a dump in one transaction: whoever looks sees nothing of it, or all. */
import { randomUUID } from 'node:crypto';
import type { Kysely, Transaction } from 'kysely';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { makeTables, newestKnown, unknownMigrations } from '../sql/migrate.js';
import type { Schema } from '../sql/schema.js';
import type { DumpedRow, DumpedTable } from './database-dump.js';
import { isBroughtBack } from './tables.js';

export interface LoadedDump {
  readonly migrations: readonly string[];
  readonly tables: readonly DumpedTable[];
  /** May throw at the end, when what was read turns out to be damaged: nothing is kept then. */
  rows(table: DumpedTable): AsyncIterable<readonly DumpedRow[]>;
  /** Whose authorities become those of whom: the server that wrote the dump, and the one that goes on with it. */
  readonly serverIds?: { readonly from: string; readonly to: string } | undefined;
  readonly now: Date;
}

export interface LoadResult {
  /** By table; those that are not brought back are counted too. */
  readonly rows: ReadonlyMap<string, number>;
}

type AnyTables = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Of one statement; below what either database takes. */
const PARAMETERS_AT_ONCE = 10_000;

/** @throws BonafideError `failed_precondition` for a dump of a newer release. */
export function refuseNewerDump(migrations: readonly string[]): void {
  const newest = unknownMigrations(migrations).at(-1);
  if (newest === undefined) return;
  throw new BonafideError(
    'failed_precondition',
    `the backup was written by a newer release: its database is at version ${newest}, the newest this release knows is ${newestKnown()}; restore it with that release`,
  );
}

export async function loadDump(
  transaction: Transaction<Schema>,
  migrating: Kysely<Schema>,
  dump: LoadedDump,
): Promise<LoadResult> {
  refuseNewerDump(dump.migrations);
  await makeTables(migrating, dump.migrations, dump.now);
  const counts = new Map<string, number>();
  for (const table of dump.tables) {
    let count = 0;
    for await (const rows of dump.rows(table)) {
      count += rows.length;
      if (isBroughtBack(table.name)) await insert(transaction, table, rows);
    }
    counts.set(table.name, count);
  }
  await makeItsOwn(transaction, dump);
  return { rows: counts };
}

async function insert(
  transaction: Transaction<Schema>,
  { name, columns }: DumpedTable,
  rows: readonly DumpedRow[],
): Promise<void> {
  const atOnce = Math.max(1, Math.floor(PARAMETERS_AT_ONCE / columns.length));
  const tables = transaction.withTables<AnyTables>();
  for (let index = 0; index < rows.length; index += atOnce) {
    const values = rows
      .slice(index, index + atOnce)
      .map((row) => Object.fromEntries(columns.map((column, at) => [column, row[at]])));
    await tables.insertInto(name).values(values).execute();
  }
}

/** What agents saw of the database that was lost is not what this one will count on from here: their cursors are worth nothing to it. */
async function makeItsOwn(transaction: Transaction<Schema>, { serverIds }: LoadedDump): Promise<void> {
  await transaction.updateTable('log_head').set({ log_id: randomUUID() }).execute();
  if (serverIds === undefined) return;
  await transaction
    .updateTable('authorities')
    .set({ server_id: serverIds.to })
    .where('server_id', '=', serverIds.from)
    .execute();
}
