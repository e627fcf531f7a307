/** The audit log in SQL: rows are added and, when they are old, removed; never changed. */
import type { AuditEventQuery, AuditEventRecords, AuditEventRow } from '../audit-event-record.js';
import { chunks } from './read-pages.js';
import type { Queries } from './schema.js';

const ROWS_A_STATEMENT = 100;

export class AuditEventQueries implements AuditEventRecords {
  readonly #reader: Queries;
  readonly #writer: Queries;

  /** @param writer of statements that take no revision. */
  constructor(reader: Queries, writer: Queries) {
    this.#reader = reader;
    this.#writer = writer;
  }

  async append(rows: readonly AuditEventRow[]): Promise<void> {
    await this.#writer.transaction().execute(async (transaction) => {
      for (const some of chunks(rows, ROWS_A_STATEMENT)) {
        await transaction
          .insertInto('audit_events')
          .values(some.map(({ serverId, at, ...row }) => ({ ...row, server_id: serverId, at: at.getTime() })))
          .execute();
      }
    });
  }

  async last(serverId: string): Promise<AuditEventRow | undefined> {
    const row = await this.#writer
      .selectFrom('audit_events')
      .selectAll()
      .where('server_id', '=', serverId)
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row && rowOf(row);
  }

  async page(
    { serverId, since, until }: AuditEventQuery,
    after: { readonly serverId: string; readonly seq: number } | undefined,
    limit: number,
  ): Promise<readonly AuditEventRow[]> {
    let rows = this.#reader.selectFrom('audit_events').selectAll();
    if (serverId !== undefined) rows = rows.where('server_id', '=', serverId);
    if (since !== undefined) rows = rows.where('at', '>=', since.getTime());
    if (until !== undefined) rows = rows.where('at', '<=', until.getTime());
    if (after !== undefined) {
      rows = rows.where((eb) =>
        eb.or([
          eb('server_id', '>', after.serverId),
          eb.and([eb('server_id', '=', after.serverId), eb('seq', '>', after.seq)]),
        ]),
      );
    }
    const found = await rows.orderBy('server_id').orderBy('seq').limit(limit).execute();
    return found.map(rowOf);
  }

  async prune(serverId: string, before: Date): Promise<number> {
    const { numDeletedRows } = await this.#writer
      .deleteFrom('audit_events')
      .where('server_id', '=', serverId)
      .where('at', '<', before.getTime())
      .executeTakeFirst();
    return Number(numDeletedRows);
  }
}

function rowOf({ server_id: serverId, at, ...row }: Row): AuditEventRow {
  return { ...row, serverId, at: new Date(at) };
}

interface Row {
  readonly server_id: string;
  readonly seq: number;
  readonly at: number;
  readonly event: string;
  readonly result: string;
  readonly line: string;
}
