/** How many values each label of a metric can have: a series costs memory here and in Prometheus, for as long as both run. */
import { BonafideError } from '../errors/bonafide-error.js';

/** The values there are, or how many different ones are kept apart; what is beyond counts as `other`. */
type LabelBound = readonly string[] | ReadonlySet<string> | number;

/** The value of everything beyond the bound. */
export const OTHER = 'other';

export type LabelBounds = Readonly<Record<string, LabelBound>>;

export type LabelsOf<Bounds extends LabelBounds> = {
  readonly [Name in keyof Bounds]: Bounds[Name] extends readonly (infer Value)[]
    ? Value | typeof OTHER
    : string;
};

const LONGEST_VALUE = 256;
/** Counters with fewer series than this show all of them from the start. */
const MOST_SHOWN_AT_FIRST = 100;
/** No label may have more: the product of several is what the program can show. */
const LARGEST_BOUND = 1000;

/** What brings labels within their bounds. @throws BonafideError `internal` for a bound that is none. */
export function boundedLabels<Bounds extends LabelBounds>(
  bounds: Bounds,
): (labels: LabelsOf<Bounds>) => Record<string, string> {
  const limits = Object.entries(bounds).map(([name, bound]) => [name, limiter(name, bound)] as const);
  return (labels) => {
    const result: Record<string, string> = {};
    for (const [name, limit] of limits) result[name] = limit((labels as Record<string, string>)[name] ?? '');
    return result;
  };
}

function limiter(name: string, bound: LabelBound): (value: string) => string {
  const size = typeof bound === 'number' ? bound : 'size' in bound ? bound.size : bound.length;
  if (!(size >= 1 && size <= LARGEST_BOUND)) {
    throw new BonafideError('internal', `label ${name} must have 1 to ${LARGEST_BOUND} values, not ${size}`);
  }
  if (typeof bound !== 'number') {
    const known = new Set(bound);
    return (value) => (known.has(value) ? value : OTHER);
  }
  const seen = new Set<string>();
  return (value) => {
    if (seen.has(value)) return value;
    if (seen.size >= bound || value.length > LONGEST_VALUE) return OTHER;
    seen.add(value);
    return value;
  };
}

/** Every combination of labels whose values are all listed; none when they are not, or are many. */
export function knownCombinations(bounds: LabelBounds): readonly Record<string, string>[] {
  let combinations: Record<string, string>[] = [{}];
  for (const [name, bound] of Object.entries(bounds)) {
    if (typeof bound === 'number') return [];
    const values = [...bound];
    if (combinations.length * values.length > MOST_SHOWN_AT_FIRST) return [];
    combinations = combinations.flatMap((labels) => values.map((value) => ({ ...labels, [name]: value })));
  }
  return combinations;
}
