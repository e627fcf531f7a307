/** SPIFFE IDs of which a text is the beginning, as ranges of a column: texts compare by their bytes in both databases. */
import { sql, type RawBuilder, type SqlBool } from 'kysely';
import type { Condition, ListedTable } from './list-query.js';

/** One ID, or all that begin with a text that ends in a slash. */
export type IdRange = string;

/** The sign after the slash: what begins with `…/` is before `…0`. */
const AFTER_SLASH = '0';

/** In the order of the IDs, each once: none lies within another. */
export function disjoint(ranges: readonly IdRange[]): readonly IdRange[] {
  const sorted = [...new Set(ranges)].sort(byBytes);
  return sorted.filter((range) => !sorted.some((wider) => wider !== range && holds(wider, range)));
}

export function isInRange(table: ListedTable, column: string, range: IdRange): RawBuilder<SqlBool> {
  return within(sql.ref(`${table.name}.${column}`), range);
}

/** Any of the ranges, of an indexed column whose order is not that of the key. */
export function isInRanges(table: ListedTable, column: string, ranges: readonly IdRange[]): Condition {
  const ref = sql.ref(`${table.name}.${column}`);
  const any = (text: RawBuilder<unknown>): RawBuilder<SqlBool> =>
    ranges.length === 0
      ? sql<SqlBool>`1 = 0`
      : sql<SqlBool>`(${sql.join(
          disjoint(ranges).map((range) => within(text, range)),
          sql` or `,
        )})`;
  return { test: any(sql`${ref} || ''`), lead: { kind: 'column', where: any(ref), isUnordered: true } };
}

function within(text: RawBuilder<unknown>, range: IdRange): RawBuilder<SqlBool> {
  if (!range.endsWith('/')) return sql<SqlBool>`${text} = ${range}`;
  return sql<SqlBool>`(${text} >= ${range} and ${text} < ${range.slice(0, -1) + AFTER_SLASH})`;
}

function holds(range: IdRange, other: IdRange): boolean {
  return range.endsWith('/') && other.startsWith(range);
}

/** SPIFFE IDs are ASCII. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : 1;
}
