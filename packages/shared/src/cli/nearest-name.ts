/** The known name that a mistyped one probably meant. */

const LONGEST_COMPARED = 64;

/** Undefined when nothing is close: more than two letters in five would have to change. */
export function nearestName(typed: string, known: Iterable<string>): string | undefined {
  if (typed.length > LONGEST_COMPARED) return undefined;
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of known) {
    if (name.length > LONGEST_COMPARED) continue;
    const distance = editDistance(typed.toLowerCase(), name.toLowerCase());
    if (distance * 2.5 <= Math.max(typed.length, name.length) && distance < (best?.distance ?? Infinity)) {
      best = { name, distance };
    }
  }
  return best?.name;
}

/** Letters inserted, removed, replaced, or swapped with their neighbour. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const current = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const at = (row: readonly number[], index: number): number => row[index] ?? Infinity;
      let distance = Math.min(at(previous, j) + 1, at(current, j - 1) + 1, at(previous, j - 1) + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, at(beforePrevious, j - 2) + 1);
      }
      current.push(distance);
    }
    beforePrevious = previous;
    previous = current;
  }
  return previous[b.length] ?? Infinity;
}
