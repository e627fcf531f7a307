/** A page of all entries under some SPIFFE IDs: in the order of those IDs, so that an index leads from page to page and nothing else is looked at. */
import { sql } from 'kysely';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { ENTRIES } from './entry-filter.js';
import { disjoint, isInRange, type IdRange } from './id-ranges.js';
import type { EntryRow, Queries } from './schema.js';

/** Neither SPIFFE IDs nor IDs of entries have it. */
const BETWEEN = ' ';

export function scopedKey({ spiffeId, id }: { readonly spiffeId: string; readonly id: string }): string {
  return `${spiffeId}${BETWEEN}${id}`;
}

/** @param after a `scopedKey`. @throws BonafideError `invalid_argument` for one that is not. */
export async function readScoped(
  db: Queries,
  ranges: readonly IdRange[],
  after: string | undefined,
  limit: number,
): Promise<readonly EntryRow[]> {
  const [spiffeId, id] = after === undefined ? [undefined, undefined] : parseKey(after);
  const found: EntryRow[] = [];
  for (const range of disjoint(ranges)) {
    if (found.length >= limit) break;
    const isPast = spiffeId !== undefined && spiffeId > range && !spiffeId.startsWith(range);
    if (isPast) continue;
    const inRange = isInRange(ENTRIES, 'spiffe_id', range);
    const where =
      spiffeId === undefined ? inRange : sql`${inRange} and (spiffe_id, id) > (${spiffeId}, ${id})`;
    const page = sql<EntryRow>`select entries.* from entries where ${where} order by spiffe_id, id limit ${limit - found.length}`;
    found.push(...(await page.execute(db)).rows);
  }
  return found;
}

function parseKey(key: string): readonly [string, string] {
  const end = key.indexOf(BETWEEN);
  if (end === -1) throw invalidArgument('page_token: is none of this list; leave it out to begin anew');
  return [key.slice(0, end), key.slice(end + 1)];
}
