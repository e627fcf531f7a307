/**
 * A filtered list in SQL. A planner that is asked for rows in the order of their key, and few of them, may walk the whole table by that
 * key; so we choose the one condition whose index leads, and write the others in a form that only tests the rows it finds.
 */
import { sql, type RawBuilder, type SqlBool } from 'kysely';
import type { Queries } from './schema.js';

/** Enough to tell a rare value from a common one. */
const LOOK_AT_ROWS = 200;
/** Of a long list of members; the rarest of so many is rare enough. */
const LOOK_AT_MEMBERS = 16;

export interface ListedTable {
  readonly name: string;
  readonly key: string;
}

/** Where the members of a set are found from the other side, in the order of the owner's key. */
export interface MemberTable {
  readonly name: string;
  readonly owner: string;
  readonly member: string;
}

export interface Condition {
  /** For one row, in a form that no index answers. */
  readonly test: RawBuilder<SqlBool>;
  /** How an index finds the rows; undefined when none does. */
  readonly lead?: Lead;
}

type Lead =
  | {
      readonly kind: 'column';
      readonly where: RawBuilder<SqlBool>;
      /** Its index has the rows in another order than that of the key. */
      readonly isUnordered?: boolean;
    }
  /** The rows have all of the members, so that any one of them finds them. */
  | { readonly kind: 'all'; readonly table: MemberTable; readonly members: readonly string[] }
  | { readonly kind: 'any'; readonly table: MemberTable; readonly members: readonly string[] };

/** The rows from which a page is read or that are counted. */
export interface Source {
  readonly from: RawBuilder<unknown>;
  readonly where: readonly RawBuilder<SqlBool>[];
  /** What the rows are put in the order of. */
  readonly key: RawBuilder<unknown>;
}

export async function chooseSource(
  db: Queries,
  table: ListedTable,
  conditions: readonly Condition[],
): Promise<Source> {
  let chosen: { readonly condition: Condition; readonly lead: Lead; readonly rows: number } | undefined;
  const isOnly = conditions.filter(({ lead }) => lead !== undefined).length === 1;
  for (const condition of conditions) {
    if (condition.lead === undefined) continue;
    const estimate = await narrow(db, table, condition.lead, isOnly);
    if (chosen === undefined || estimate.rows < chosen.rows) chosen = { condition, ...estimate };
  }
  const key = sql.ref(`${table.name}.${table.key}`);
  const tests = conditions
    .filter((condition) => condition !== chosen?.condition || condition.lead?.kind !== 'column')
    .map(({ test }) => test);
  const lead = chosen?.lead;
  if (lead === undefined) return { from: sql.table(table.name), where: tests, key };
  if (lead.kind === 'column') {
    // As an expression, so that no planner walks the key and hopes to meet a match soon.
    const order = lead.isUnordered === true ? sql`${key} || ''` : key;
    return { from: sql.table(table.name), where: [lead.where, ...tests], key: order };
  }
  const { owner, member, name } = lead.table;
  const [first, ...others] = lead.members;
  if (first !== undefined && others.length === 0) {
    const [memberColumn, ownerColumn] = [sql.ref(`${name}.${member}`), sql.ref(`${name}.${owner}`)];
    return {
      from: sql`${sql.table(name)} cross join ${sql.table(table.name)}`,
      where: [sql<SqlBool>`${memberColumn} = ${first}`, sql<SqlBool>`${key} = ${ownerColumn}`, ...tests],
      key: ownerColumn,
    };
  }
  const owners = sql`select ${sql.ref(owner)} from ${sql.table(name)} where ${isAmong(member, lead.members)}`;
  return { from: sql.table(table.name), where: [sql<SqlBool>`${key} in (${owners})`, ...tests], key };
}

/** Of members that a row must all have, the rarest; and how many rows that leaves to be tested, as far as it matters. */
async function narrow(
  db: Queries,
  table: ListedTable,
  lead: Lead,
  isOnly: boolean,
): Promise<{ readonly lead: Lead; readonly rows: number }> {
  if (lead.kind === 'column') {
    return { lead, rows: isOnly ? 0 : await countSome(db, table.name, lead.where) };
  }
  const { name, member } = lead.table;
  if (lead.kind === 'any') {
    return { lead, rows: isOnly ? 0 : await countSome(db, name, isAmong(member, lead.members)) };
  }
  if (isOnly && lead.members.length === 1) return { lead, rows: 0 };
  let [rarest, rows] = [lead.members[0], Infinity];
  for (const each of lead.members.slice(0, LOOK_AT_MEMBERS)) {
    const found = await countSome(db, name, isAmong(member, [each]));
    if (found < rows) [rarest, rows] = [each, found];
    if (rows === 0) break;
  }
  return { lead: { ...lead, members: rarest === undefined ? [] : [rarest] }, rows };
}

async function countSome(db: Queries, table: string, where: RawBuilder<SqlBool>): Promise<number> {
  const some = sql`select 1 as one from ${sql.table(table)} where ${where} limit ${sql.lit(LOOK_AT_ROWS)}`;
  const { rows } = await sql<{ total: number }>`select count(*) as total from (${some}) as seen`.execute(db);
  return rows[0]?.total ?? 0;
}

function isAmong(column: string, values: readonly string[]): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(column)} in (${sql.join(values)})`;
}

export function countQuery({ from, where }: Source): RawBuilder<{ readonly total: number }> {
  return sql`select count(*) as total from ${from}${whereAll(where)}`;
}

/** Rows in the order of the key. */
export function pageQuery<Row>(
  table: ListedTable,
  { from, where, key }: Source,
  after: string | undefined,
  limit: number,
): RawBuilder<Row> {
  const all = after === undefined ? where : [...where, sql<SqlBool>`${key} > ${after}`];
  return sql`select ${sql.table(table.name)}.* from ${from}${whereAll(all)} order by ${key} limit ${limit}`;
}

function whereAll(conditions: readonly RawBuilder<SqlBool>[]): RawBuilder<unknown> {
  return conditions.length === 0 ? sql`` : sql` where ${sql.join(conditions, sql` and `)}`;
}

/** Text in a column, and an index that begins with it. */
export function textIs(table: ListedTable, column: string, value: string): Condition {
  const ref = sql.ref(`${table.name}.${column}`);
  return {
    test: sql<SqlBool>`${ref} || '' = ${value}`,
    lead: { kind: 'column', where: sql<SqlBool>`${ref} = ${value}` },
  };
}

/** @param isIndexed whether an index has just the rows that have the flag so. */
export function flagIs(table: ListedTable, column: string, value: boolean, isIndexed: boolean): Condition {
  const ref = sql.ref(`${table.name}.${column}`);
  const wanted = sql.lit(value ? 1 : 0);
  const test = sql<SqlBool>`${ref} + 0 = ${wanted}`;
  // As a literal: no planner uses a partial index for a value that it does not know.
  return isIndexed ? { test, lead: { kind: 'column', where: sql<SqlBool>`${ref} = ${wanted}` } } : { test };
}

/** A number in an indexed column. What is below it is found first and put into order then. */
export function isBelow(table: ListedTable, column: string, value: number): Condition {
  const ref = sql.ref(`${table.name}.${column}`);
  return {
    test: sql<SqlBool>`${ref} + 0 < ${value}`,
    lead: { kind: 'column', where: sql<SqlBool>`${ref} < ${value}`, isUnordered: true },
  };
}
