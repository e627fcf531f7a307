/** The order in which SPIRE shows entries, so that two lists of the same entries are the same text. */
import type { Entry__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Entry';
import type { Selector__Output } from '@bonafide/shared/rpc/gen/spire/api/types/Selector';

/** By SPIFFE ID, parent ID, lifetimes and selectors; the selectors of each entry sorted too. */
export function sortEntries(entries: readonly Entry__Output[]): Entry__Output[] {
  return entries
    .map((entry) => ({ ...entry, selectors: entry.selectors.toSorted(compareSelectors) }))
    .toSorted(compareEntries);
}

function compareEntries(a: Entry__Output, b: Entry__Output): number {
  return (
    compareText(a.spiffeId?.trustDomain, b.spiffeId?.trustDomain) ||
    compareText(a.spiffeId?.path, b.spiffeId?.path) ||
    compareText(a.parentId?.trustDomain, b.parentId?.trustDomain) ||
    compareText(a.parentId?.path, b.parentId?.path) ||
    a.x509SvidTtl - b.x509SvidTtl ||
    a.jwtSvidTtl - b.jwtSvidTtl ||
    a.selectors.length - b.selectors.length ||
    compareLists(a.selectors, b.selectors)
  );
}

function compareLists(a: readonly Selector__Output[], b: readonly Selector__Output[]): number {
  for (const [index, selector] of a.entries()) {
    const other = b[index];
    const order = other === undefined ? 1 : compareSelectors(selector, other);
    if (order !== 0) return order;
  }
  return 0;
}

function compareSelectors(a: Selector__Output, b: Selector__Output): number {
  return compareText(a.type, b.type) || compareText(a.value, b.value);
}

function compareText(a = '', b = ''): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
