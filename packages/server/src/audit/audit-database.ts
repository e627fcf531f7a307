/** The audit log in the database, to be read beside the server that writes it, or without one. */
import { datastoreSettings } from '../configuration/datastore-config.js';
import type { ServerConfig } from '../configuration/server-config.js';
import type { AuditEventQuery, AuditEventRecords, AuditEventRow } from '../store/audit-event-record.js';
import { preparePostgres } from '../store/postgres/access.js';
import { connectPostgres } from '../store/postgres/database.js';
import { parsePostgresTarget } from '../store/postgres/target.js';
import { AuditEventQueries } from '../store/sql/audit-events.js';
import { connectSqlite } from '../store/sqlite-database.js';

export interface AuditDatabase {
  readonly records: AuditEventRecords;
  readonly close: () => Promise<void>;
}

const ROWS_A_PAGE = 500;

export async function openAuditDatabase({
  datastore,
  plugins,
  server,
}: ServerConfig): Promise<AuditDatabase> {
  const settings = datastoreSettings(datastore, plugins.DataStore, server.data_dir);
  const db =
    settings.kind === 'sqlite'
      ? connectSqlite(settings.path, 'read')
      : connectPostgres(await preparePostgres(parsePostgresTarget(settings.url)), { maxConnections: 1 }).db;
  return { records: new AuditEventQueries(db, db), close: () => db.destroy() };
}

/** One page after the other: a log of any size in the memory of one page. */
export async function* rowsOf(
  records: AuditEventRecords,
  query: AuditEventQuery,
  after?: { readonly serverId: string; readonly seq: number },
): AsyncGenerator<AuditEventRow, void> {
  let last = after;
  for (;;) {
    const page = await records.page(query, last, ROWS_A_PAGE);
    yield* page;
    last = page.at(-1) ?? last;
    if (page.length < ROWS_A_PAGE) return;
  }
}
