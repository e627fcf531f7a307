/** Sets in a column: how selectors and trust domains are written into a row, and how a list filter compares them in SQL. */
import { sql, type SqlBool } from 'kysely';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import {
  formatSelector,
  normalizeSelectors,
  type MatchBehavior,
  type Selector,
} from '@bonafide/shared/registration/selector';
import type { Condition, ListedTable, MemberTable } from './list-query.js';

/** So that a hostile filter cannot exceed the parameters of a statement. */
export const MAX_NAMED = 1000;

/** Equal sets give equal texts. */
export function encodeSelectors(selectors: readonly Selector[]): string {
  return encodeList(normalizeSelectors(selectors).map(formatSelector));
}

export function encodeList(items: readonly string[]): string {
  return items.length === 0 ? '[]' : JSON.stringify(items);
}

/** Few distinct sets serve many rows: decoding each once saves most of the time and memory of loading a million entries. */
const MAX_REMEMBERED = 20_000;
const rememberedSelectors = new Map<string, readonly Selector[]>();
const NOTHING: readonly never[] = [];

export function decodeSelectors(text: string): readonly Selector[] {
  const remembered = rememberedSelectors.get(text);
  if (remembered !== undefined) return remembered;
  const selectors = decodeList(text).map((item) => {
    const colon = item.indexOf(':');
    return { type: item.slice(0, colon), value: item.slice(colon + 1) };
  });
  if (rememberedSelectors.size >= MAX_REMEMBERED) rememberedSelectors.clear();
  rememberedSelectors.set(text, selectors);
  return selectors;
}

export function decodeList(text: string): readonly string[] {
  return text === '[]' ? NOTHING : (JSON.parse(text) as readonly string[]);
}

export interface IndexedSet {
  readonly owners: ListedTable;
  /** The owner's column that counts its members. */
  readonly count: string;
  readonly members: MemberTable;
}

/** Owners whose set compares with `named` as asked. `subset` wants one shared member at least, as in SPIRE. */
export function matchesNamed(set: IndexedSet, named: readonly string[], match: MatchBehavior): Condition {
  const distinct = [...new Set(named)];
  if (distinct.length === 0) throw invalidArgument('filter names an empty set; expected at least one member');
  if (distinct.length > MAX_NAMED) {
    throw invalidArgument(`filter names ${distinct.length} members; at most ${MAX_NAMED} are accepted`);
  }
  const { owners, members } = set;
  const key = sql.ref(`${owners.name}.${owners.key}`);
  const count = sql.ref(`${owners.name}.${set.count}`);
  const wanted = sql.lit(distinct.length);
  // A query of one row's own, which no planner turns into a walk through the members.
  const shared = sql`(select count(*) from ${sql.table(members.name)} as m where m.${sql.ref(members.owner)} = ${key} and m.${sql.ref(members.member)} in (${sql.join(distinct)}))`;
  const lead = { table: members, members: distinct };
  switch (match) {
    case 'any':
      return { test: sql<SqlBool>`${shared} > 0`, lead: { ...lead, kind: 'any' } };
    case 'subset':
      return {
        test: sql<SqlBool>`(${count} > 0 and ${shared} = ${count})`,
        lead: { ...lead, kind: 'any' },
      };
    case 'superset':
      return { test: sql<SqlBool>`${shared} = ${wanted}`, lead: { ...lead, kind: 'all' } };
    case 'exact':
      return {
        test: sql<SqlBool>`(${count} = ${wanted} and ${shared} = ${wanted})`,
        lead: { ...lead, kind: 'all' },
      };
  }
}
