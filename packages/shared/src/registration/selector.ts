/** Selectors: facts about a node or process that an attestor proved, as `type:value`. */
import { invalidArgument } from '../errors/bonafide-error.js';

export interface Selector {
  /** The attestor that proves it, for example `unix`; no colon. */
  readonly type: string;
  /** What it proves, for example `uid:1000`; may hold colons. */
  readonly value: string;
}

export const MAX_SELECTOR_BYTES = 2048;

/** @throws BonafideError `invalid_argument` when either half is missing, too long or the type holds a colon. */
export function createSelector(type: string, value: string): Selector {
  if (type === '') throw invalidArgument('selector type is empty; expected type:value such as unix:uid:1000');
  if (type.includes(':')) throw invalidArgument(`selector type ${JSON.stringify(type)} has a colon`);
  if (value === '') throw invalidArgument(`selector of type ${JSON.stringify(type)} has an empty value`);
  if (Buffer.byteLength(type) + Buffer.byteLength(value) > MAX_SELECTOR_BYTES) {
    throw invalidArgument(
      `selector of type ${JSON.stringify(type.slice(0, 64))} is longer than ${MAX_SELECTOR_BYTES} bytes`,
    );
  }
  return { type, value };
}

/** @param text `type:value`; the first colon separates. */
export function parseSelector(text: string): Selector {
  const colon = text.indexOf(':');
  if (colon === -1) {
    throw invalidArgument(
      `selector ${JSON.stringify(text)} has no colon; expected type:value such as unix:uid:1000`,
    );
  }
  return createSelector(text.slice(0, colon), text.slice(colon + 1));
}

/** `type:value`: equal exactly for equal selectors, because a type has no colon. */
export function formatSelector(selector: Selector): string {
  return `${selector.type}:${selector.value}`;
}

/** Sorted and without repeats: the form in which sets of selectors are stored and compared. */
export function normalizeSelectors(selectors: readonly Selector[]): readonly Selector[] {
  const byText = new Map(selectors.map((selector) => [formatSelector(selector), selector]));
  return [...byText.keys()].sort().flatMap((text) => byText.get(text) ?? []);
}

/** How a list filter compares a set of selectors (or trust domains) with the one it names; SPIRE's words. */
export type MatchBehavior = 'exact' | 'subset' | 'superset' | 'any';

/**
 * `exact`: the same set; `subset`: every one of the candidate's is named; `superset`: the candidate has all that are named;
 * `any`: they share at least one.
 */
export function matchesSet(
  candidate: ReadonlySet<string>,
  named: ReadonlySet<string>,
  behavior: MatchBehavior,
): boolean {
  switch (behavior) {
    case 'exact':
      return candidate.size === named.size && isSubset(candidate, named);
    case 'subset':
      return isSubset(candidate, named);
    case 'superset':
      return isSubset(named, candidate);
    case 'any':
      return [...named].some((item) => candidate.has(item));
  }
}

export function isSubset(inner: ReadonlySet<string>, outer: ReadonlySet<string>): boolean {
  if (inner.size > outer.size) return false;
  for (const item of inner) if (!outer.has(item)) return false;
  return true;
}
