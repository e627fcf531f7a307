/** Reads entries for the entry graph: of a million rows, each step for each of them counts. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { sql, SqliteAdapter, type RawBuilder, type SqlBool } from 'kysely';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { CompactEntry, EntryTerms } from '../entry-record.js';
import { termsFromRow, type TermColumns } from './entry-row.js';
import type { EntryRow, Queries } from './schema.js';

const ROWS_AT_A_TIME = 1000;
const MAX_REMEMBERED = 50_000;

type Place = string | number;

interface CompactRow extends Pick<
  EntryRow,
  'id' | 'spiffe_id' | 'parent_id' | 'selectors' | 'expires_at' | 'revision_number' | 'created_at'
> {
  /** Where the row lies in the table. */
  readonly place: Place;
  /** Null where all are as most rows have them; else a JSON array of them. */
  readonly rare_columns: string | null;
}

/** What most rows have in the columns in which few differ. */
const USUAL: Omit<TermColumns, 'selectors'> = {
  x509_svid_ttl_seconds: null,
  jwt_svid_ttl_seconds: null,
  federates_with: '[]',
  is_admin: 0,
  is_downstream: 0,
  dns_names: '[]',
  stores_svid: 0,
  hint: null,
  disables_x509_svid_prefetch: 0,
  includes_jwt_svid_jti: 0,
};
const RARE_COLUMNS = Object.keys(USUAL);

/**
 * SQLite reads rows in the order in which they lie three times as fast as by id, which is random. Rows that are added meanwhile come last
 * there; those that stay keep their place.
 */
export async function* readAllCompact(db: Queries): AsyncGenerator<readonly CompactEntry[], void, undefined> {
  const place = isSqlite(db) ? sql.ref('rowid') : sql.ref('id');
  let after: Place = isSqlite(db) ? 0 : '';
  for (;;) {
    const rows: readonly CompactRow[] = await readRows(
      db,
      place,
      sql`${place} > ${after} order by ${place} limit ${sql.lit(ROWS_AT_A_TIME)}`,
    );
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows.map(compactFromRow);
    after = last.place;
    await nextTurn();
  }
}

export async function readCompact(db: Queries, ids: readonly string[]): Promise<readonly CompactEntry[]> {
  const rows = await readRows(db, sql.ref('id'), sql`id in (${sql.join(ids)})`);
  return rows.map(compactFromRow);
}

async function readRows(
  db: Queries,
  place: RawBuilder<unknown>,
  where: RawBuilder<unknown>,
): Promise<readonly CompactRow[]> {
  const array = sql.raw(isSqlite(db) ? 'json_array' : 'json_build_array');
  const { rows } = await sql<CompactRow>`
    select ${place} as place, id, spiffe_id, parent_id, selectors, expires_at, revision_number, created_at,
      case when ${IS_USUAL} then null else cast(${array}(${sql.join(RARE_COLUMNS.map((name) => sql.ref(name)))}) as text) end as rare_columns
    from entries where ${where}
  `.execute(db);
  return rows;
}

const IS_USUAL = sql<SqlBool>`${sql.join(
  Object.entries(USUAL).map(([name, usual]) =>
    usual === null ? sql`${sql.ref(name)} is null` : sql`${sql.ref(name)} = ${sql.lit(usual)}`,
  ),
  sql` and `,
)}`;

function isSqlite(db: Queries): boolean {
  return db.getExecutor().adapter instanceof SqliteAdapter;
}

function compactFromRow(row: CompactRow): CompactEntry {
  return {
    id: row.id,
    spiffeId: row.spiffe_id as SpiffeId,
    parentId: row.parent_id as SpiffeId,
    terms: sharedTerms(row.selectors, row.rare_columns),
    expiresAt: row.expires_at ?? undefined,
    createdAt: row.created_at,
    revisionNumber: row.revision_number,
  };
}

const remembered = new Map<string, EntryTerms>();

function sharedTerms(selectors: string, rareColumns: string | null): EntryTerms {
  const key = rareColumns === null ? selectors : selectors + rareColumns;
  let terms = remembered.get(key);
  if (terms === undefined) {
    terms = termsFromRow({ selectors, ...(rareColumns === null ? USUAL : parseRareColumns(rareColumns)) });
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    remembered.set(key, terms);
  }
  return terms;
}

function parseRareColumns(text: string): typeof USUAL {
  const values = JSON.parse(text) as readonly unknown[];
  return Object.fromEntries(RARE_COLUMNS.map((name, index) => [name, values[index]])) as typeof USUAL;
}
