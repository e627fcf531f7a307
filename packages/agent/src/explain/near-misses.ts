/** The entries that a process comes closest to having: what it lacks for each, and what it presents instead. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { Turn } from '@bonafide/shared/runtime/turn';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { PresentedSelectors } from './presented-selectors.js';
import { hintFor, type SelectorHint } from './selector-hints.js';

export interface MissingSelector {
  readonly selector: Selector;
  readonly hint: SelectorHint;
}

export interface NearMiss {
  readonly entryId: string;
  readonly spiffeId: SpiffeId;
  /** Those of the entry that the process has. */
  readonly present: readonly Selector[];
  /** Never empty. */
  readonly missing: readonly MissingSelector[];
}

const DEFAULT_MOST = 5;
/** What the server writes into the entries that it makes for nodes with a token: no process ever has it. */
const OF_NODES = 'spiffe_id';
/** How far a process is from a selector that it lacks: slips are near, another value is far. */
const COSTS = {
  differs_in_case: 0.1,
  is_part: 0.3,
  similar: 0.2,
  other_name: 0.3,
  attestor_failed: 0.5,
  attestor_not_configured: 0.8,
  differs: 1,
  kind_not_presented: 1.1,
  nothing_presented: 1.3,
} as const satisfies Record<SelectorHint['kind'], number>;
const COST_OF_AN_EDIT = 0.1;
const LEAST_COST = 0.1;
/** Of two entries that lack as much, the one of which more is there is nearer. */
const COST_OF_LACKING_ALL = 0.5;
const MOST_REMEMBERED = 10_000;

interface Candidate extends Omit<NearMiss, 'present'> {
  readonly entry: RegistrationEntry;
  readonly cost: number;
}

/** The nearest first; entries that match, or have nothing to do with the process, are left out. Looks at each entry once. */
export async function nearMisses(
  entries: Iterable<RegistrationEntry>,
  presented: PresentedSelectors,
  clock: Pick<Clock, 'monotonicMs'>,
  most = DEFAULT_MOST,
): Promise<readonly NearMiss[]> {
  const nearest: Candidate[] = [];
  const hintOf = rememberedHints(presented);
  const turn = new Turn(clock);
  for (const entry of entries) {
    if (turn.isOver) await turn.next();
    const bound = nearest.length < most ? Infinity : (nearest.at(-1)?.cost ?? Infinity);
    const candidate = candidateFor(entry, presented, hintOf, bound);
    if (candidate === undefined) continue;
    const place = nearest.findIndex((each) => compare(candidate, each) < 0);
    nearest.splice(place < 0 ? nearest.length : place, 0, candidate);
    if (nearest.length > most) nearest.pop();
  }
  return nearest.map(({ entry, entryId, missing, spiffeId }) => ({
    entryId,
    spiffeId,
    missing,
    present: entry.selectors.filter((selector) => presented.has(selector)),
  }));
}

/** Undefined as soon as it is clear that the entry is farther away than `bound`. */
function candidateFor(
  entry: RegistrationEntry,
  presented: PresentedSelectors,
  hintOf: (selector: Selector) => SelectorHint,
  bound: number,
): Candidate | undefined {
  const lacking: Selector[] = [];
  for (const selector of entry.selectors) {
    if (presented.has(selector)) continue;
    if (selector.type === OF_NODES) return undefined;
    lacking.push(selector);
    if (lacking.length * LEAST_COST > bound) return undefined;
  }
  if (lacking.length === 0) return undefined;
  let cost = (lacking.length / entry.selectors.length) * COST_OF_LACKING_ALL;
  const missing: MissingSelector[] = [];
  let isRelated = lacking.length < entry.selectors.length;
  for (const selector of lacking) {
    const hint = hintOf(selector);
    missing.push({ selector, hint });
    cost += COSTS[hint.kind] + (hint.kind === 'similar' ? hint.edits * COST_OF_AN_EDIT : 0);
    if (cost > bound) return undefined;
    isRelated ||= hint.kind !== 'nothing_presented' && hint.kind !== 'kind_not_presented';
  }
  return isRelated ? { entry, entryId: entry.id, spiffeId: entry.spiffeId, missing, cost } : undefined;
}

/** Many entries ask for the same selectors. */
function rememberedHints(presented: PresentedSelectors): (selector: Selector) => SelectorHint {
  const hints = new Map<string, SelectorHint>();
  return (selector) => {
    const text = formatSelector(selector);
    const known = hints.get(text);
    if (known !== undefined) return known;
    const hint = hintFor(selector, presented);
    if (hints.size < MOST_REMEMBERED) hints.set(text, hint);
    return hint;
  };
}

function compare(a: Candidate, b: Candidate): number {
  if (a.cost !== b.cost) return a.cost - b.cost;
  return a.spiffeId < b.spiffeId ? -1 : a.spiffeId > b.spiffeId ? 1 : a.entryId < b.entryId ? -1 : 1;
}
