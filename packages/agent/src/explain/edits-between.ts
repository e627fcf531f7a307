/** How many letters one text is away from another: inserted, removed, replaced, or swapped with their neighbour. */

/** Undefined when more than `most` edits are needed; costs little when the two are far apart. */
export function editsBetween(a: string, b: string, most: number): number | undefined {
  if (Math.abs(a.length - b.length) > most) return undefined;
  const [left, right] = differingParts(a, b);
  const within = (edits: number): number | undefined => (edits <= most ? edits : undefined);
  if (left === '' || right === '') return within(Math.max(left.length, right.length));
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    // What lies farther from the diagonal than `most` is farther away than that.
    const current = new Array<number>(right.length + 1).fill(Infinity);
    current[0] = i;
    let least = i;
    for (let j = Math.max(1, i - most); j <= Math.min(right.length, i + most); j += 1) {
      const replaced = at(previous, j - 1) + (left[i - 1] === right[j - 1] ? 0 : 1);
      let edits = Math.min(at(previous, j) + 1, at(current, j - 1) + 1, replaced);
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        edits = Math.min(edits, at(beforePrevious, j - 2) + 1);
      }
      current[j] = edits;
      least = Math.min(least, edits);
    }
    if (least > most) return undefined;
    beforePrevious = previous;
    previous = current;
  }
  return within(at(previous, right.length));
}

/** What is left of both without what they begin and end with alike. */
export function differingParts(a: string, b: string): readonly [string, string] {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  return [a.slice(start, a.length - end), b.slice(start, b.length - end)];
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Infinity;
}
