/** The sets that entries have, a row for each member, by which lists are filtered. */
import { sql } from 'kysely';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector } from '@bonafide/shared/registration/selector';
import { chunks } from './read-pages.js';
import type { Queries } from './schema.js';

/** Before and after of one entry; one of them absent: it comes or goes. */
export interface EntryWas {
  readonly before: RegistrationEntry | undefined;
  readonly after: RegistrationEntry | undefined;
}

type Members = (entry: RegistrationEntry) => readonly string[];
type Membership = readonly [entryId: string, member: string];

const ROWS_A_STATEMENT = 250;
const selectorsOf: Members = ({ selectors }) => selectors.map(formatSelector);
const trustDomainsOf: Members = ({ federatesWith }) => federatesWith;

/** Writes only what differs. */
export async function changeEntrySets(db: Queries, pairs: readonly EntryWas[]): Promise<void> {
  const selectors = differences(pairs, selectorsOf);
  for (const some of chunks(selectors.gone, ROWS_A_STATEMENT)) {
    await sql`delete from entry_selectors where (entry_id, selector) in (values ${rows(some)})`.execute(db);
  }
  for (const some of chunks(selectors.come, ROWS_A_STATEMENT)) {
    const values = some.map(([entryId, selector]) => ({ entry_id: entryId, selector }));
    await db.insertInto('entry_selectors').values(values).execute();
  }
  const federation = differences(pairs, trustDomainsOf);
  for (const some of chunks(federation.gone, ROWS_A_STATEMENT)) {
    await sql`delete from entry_federation where (entry_id, trust_domain) in (values ${rows(some)})`.execute(
      db,
    );
  }
  for (const some of chunks(federation.come, ROWS_A_STATEMENT)) {
    const values = some.map(([entryId, trustDomain]) => ({ entry_id: entryId, trust_domain: trustDomain }));
    await db.insertInto('entry_federation').values(values).execute();
  }
}

function differences(
  pairs: readonly EntryWas[],
  members: Members,
): { readonly gone: readonly Membership[]; readonly come: readonly Membership[] } {
  const gone: Membership[] = [];
  const come: Membership[] = [];
  for (const { before, after } of pairs) {
    const had = new Set(before === undefined ? [] : members(before));
    const has = new Set(after === undefined ? [] : members(after));
    if (before !== undefined) for (const each of had) if (!has.has(each)) gone.push([before.id, each]);
    if (after !== undefined) for (const each of has) if (!had.has(each)) come.push([after.id, each]);
  }
  return { gone, come };
}

function rows(memberships: readonly Membership[]): ReturnType<typeof sql> {
  return sql.join(memberships.map(([entryId, member]) => sql`(${entryId}, ${member})`));
}
