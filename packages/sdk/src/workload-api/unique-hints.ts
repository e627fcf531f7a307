/** Hints tell the SVIDs of one answer apart (SPIFFE Workload API sections 5.2.1, 6.2.1, 7.2.1): of several with one hint, the first counts. */

interface Hinted {
  readonly hint: string | undefined;
}

export function withUniqueHints<T extends Hinted>(first: T, rest: readonly T[]): readonly T[] {
  const seen = new Set([first.hint]);
  return rest.filter(({ hint }) => {
    if (hint === undefined) return true;
    if (seen.has(hint)) return false;
    seen.add(hint);
    return true;
  });
}

/** With a hint the SVID that has it; without one the first, the default identity (section 8). */
export function pickByHint<T extends Hinted>(
  hint: string | undefined,
): (svids: readonly T[]) => T | undefined {
  return hint === undefined ? (svids) => svids[0] : (svids) => svids.find((svid) => svid.hint === hint);
}
