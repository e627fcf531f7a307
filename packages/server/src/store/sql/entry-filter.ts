/** The filter of a list of entries as conditions in SQL, each with the index that finds what fulfils it. */
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { EntryFilter } from '../entry-record.js';
import { isInRanges } from './id-ranges.js';
import { flagIs, textIs, type Condition, type ListedTable } from './list-query.js';
import { matchesNamed, type IndexedSet } from './sets.js';

export const ENTRIES: ListedTable = { name: 'entries', key: 'id' };
const SELECTORS: IndexedSet = {
  owners: ENTRIES,
  count: 'selector_count',
  members: { name: 'entry_selectors', owner: 'entry_id', member: 'selector' },
};
const FEDERATION: IndexedSet = {
  owners: ENTRIES,
  count: 'federation_count',
  members: { name: 'entry_federation', owner: 'entry_id', member: 'trust_domain' },
};

export function conditionsOfEntries(filter: EntryFilter): readonly Condition[] {
  const conditions: Condition[] = [];
  if (filter.spiffeId !== undefined) conditions.push(textIs(ENTRIES, 'spiffe_id', filter.spiffeId));
  if (filter.parentId !== undefined) conditions.push(textIs(ENTRIES, 'parent_id', filter.parentId));
  if (filter.hint !== undefined) conditions.push(textIs(ENTRIES, 'hint', filter.hint));
  if (filter.isDownstream !== undefined) {
    conditions.push(flagIs(ENTRIES, 'is_downstream', filter.isDownstream, filter.isDownstream));
  }
  // A few of the entries of one SPIFFE ID: nobody lists them by it alone.
  if (filter.isAdmin !== undefined) conditions.push(flagIs(ENTRIES, 'is_admin', filter.isAdmin, false));
  if (filter.under !== undefined) conditions.push(isInRanges(ENTRIES, 'spiffe_id', filter.under));
  if (filter.selectors !== undefined) {
    const { named, match } = filter.selectors;
    conditions.push(matchesNamed(SELECTORS, named.map(formatSelector), match));
  }
  if (filter.federatesWith !== undefined) {
    const { named, match } = filter.federatesWith;
    conditions.push(matchesNamed(FEDERATION, named, match));
  }
  return conditions;
}
