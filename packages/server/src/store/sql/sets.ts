/** Sets in a column: how selectors and trust domains are written into a row, and how a list filter compares them in SQL. */
import { sql, type RawBuilder, type SqlBool } from 'kysely';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import {
  formatSelector,
  normalizeSelectors,
  type MatchBehavior,
  type Selector,
} from '@bonafide/shared/registration/selector';

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

/** Where the members of a set are found from the other side. */
export interface IndexedSet {
  /** The table whose rows have the sets, its key, and its count of members. */
  readonly owners: { readonly table: string; readonly key: string; readonly count: string };
  readonly members: { readonly table: string; readonly owner: string; readonly member: string };
}

/** True for owners whose set compares with `named` as asked. `subset` wants one shared member at least, as in SPIRE. */
export function matchesNamed(
  set: IndexedSet,
  named: readonly string[],
  match: MatchBehavior,
): RawBuilder<SqlBool> {
  const distinct = [...new Set(named)];
  if (distinct.length === 0) throw invalidArgument('filter names an empty set; expected at least one member');
  if (distinct.length > MAX_NAMED) {
    throw invalidArgument(`filter names ${distinct.length} members; at most ${MAX_NAMED} are accepted`);
  }
  const key = sql.ref(`${set.owners.table}.${set.owners.key}`);
  const count = sql.ref(`${set.owners.table}.${set.owners.count}`);
  const owner = sql.ref(`${set.members.table}.${set.members.owner}`);
  const members = sql.table(set.members.table);
  const isNamed = sql`${sql.ref(set.members.member)} in (${sql.join(distinct)})`;
  switch (match) {
    case 'any':
      return sql<SqlBool>`${key} in (select ${owner} from ${members} where ${isNamed})`;
    case 'superset':
      return sql<SqlBool>`${key} in (select ${owner} from ${members} where ${isNamed} group by ${owner} having count(*) = ${distinct.length})`;
    case 'exact':
      return sql<SqlBool>`(${count} = ${distinct.length} and ${key} in (select ${owner} from ${members} where ${isNamed} group by ${owner} having count(*) = ${distinct.length}))`;
    case 'subset':
      // How many of the owner's members are named, against how many it has.
      return sql<SqlBool>`${key} in (select ${owner} from ${members} inner join ${sql.table(set.owners.table)} as o on o.${sql.ref(set.owners.key)} = ${owner} where ${isNamed} group by ${owner}, o.${sql.ref(set.owners.count)} having count(*) = o.${sql.ref(set.owners.count)})`;
  }
}
