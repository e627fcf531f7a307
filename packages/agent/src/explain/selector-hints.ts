/** Why a process may lack a selector that an entry asks for: what it presents instead, and whether that looks like a slip. */
import { nearestName } from '@bonafide/shared/cli/nearest-name';
import type { Selector } from '@bonafide/shared/registration/selector';
import { differingParts, editsBetween } from './edits-between.js';
import { partsOf, type PresentedSelectors } from './presented-selectors.js';

export type SelectorHint =
  /** Nothing but upper and lower case differs. */
  | { readonly kind: 'differs_in_case'; readonly presented: readonly [Selector] }
  /** One begins or ends with the other. */
  | { readonly kind: 'is_part'; readonly presented: readonly [Selector] }
  | { readonly kind: 'similar'; readonly presented: readonly [Selector]; readonly edits: number }
  /** The same value under another name, for example `unix:uid:web` for `unix:user:web`. */
  | { readonly kind: 'other_name'; readonly presented: readonly [Selector] }
  /** Another value; the most similar first. */
  | { readonly kind: 'differs'; readonly presented: readonly Selector[] }
  /** The attestor said something about the process, but nothing of this kind. */
  | { readonly kind: 'kind_not_presented' }
  | { readonly kind: 'nothing_presented' }
  | { readonly kind: 'attestor_failed' }
  | { readonly kind: 'attestor_not_configured'; readonly similar: string | undefined };

const MOST_PRESENTED = 3;
/** Selectors of one kind that are compared: a process can have hundreds of labels. */
const MOST_COMPARED = 200;
const LONGEST_COMPARED = 256;
/** @param missing a selector that the process does not present. */
export function hintFor(missing: Selector, presented: PresentedSelectors): SelectorHint {
  const { type } = missing;
  if (presented.failedAttestors.has(type)) return { kind: 'attestor_failed' };
  const { kind, rest } = partsOf(missing);
  const sameKind = presented.ofKind(type, kind).slice(0, MOST_COMPARED);
  const slip = slipIn(missing, sameKind);
  if (slip !== undefined) return slip;
  if (!presented.hasType(type) && !presented.attestors.has(type)) {
    const twin = presented.withValue(missing.value);
    if (twin !== undefined) return { kind: 'other_name', presented: [twin] };
    return { kind: 'attestor_not_configured', similar: nearestName(type, presented.attestors) };
  }
  const renamed = presented.withRest(type, rest);
  // A user and a group with the same number have nothing to do with each other.
  if ((sameKind.length === 0 || !/^\d+$/.test(rest)) && renamed !== undefined)
    return { kind: 'other_name', presented: [renamed] };
  if (sameKind.length > 0) {
    return { kind: 'differs', presented: mostAlike(missing, sameKind) };
  }
  return presented.hasType(type) ? { kind: 'kind_not_presented' } : { kind: 'nothing_presented' };
}

/** The candidate that differs the least, if so little that a slip is likely. */
function slipIn(missing: Selector, candidates: readonly Selector[]): SelectorHint | undefined {
  const wanted = missing.value;
  if (wanted.length > LONGEST_COMPARED) return undefined;
  const lowered = wanted.toLowerCase();
  const inCase = candidates.find(
    ({ value }) => value.length === wanted.length && value.toLowerCase() === lowered,
  );
  if (inCase !== undefined) return { kind: 'differs_in_case', presented: [inCase] };
  let best: { readonly selector: Selector; readonly edits: number } | undefined;
  for (const selector of candidates) {
    if (selector.value.length > LONGEST_COMPARED || !isText(wanted, selector.value)) continue;
    const edits = editsBetween(wanted, selector.value, (best?.edits ?? mostEdits(missing) + 1) - 1);
    if (edits !== undefined) best = { selector, edits };
  }
  const part = best?.edits === 1 ? undefined : candidates.find((selector) => isPart(missing, selector));
  if (part !== undefined) return { kind: 'is_part', presented: [part] };
  return best && { kind: 'similar', presented: [best.selector], edits: best.edits };
}

/** One number instead of another is another user, port or instance, and no slip. */
function isText(a: string, b: string): boolean {
  return !differingParts(a, b).every((part) => /^\d*$/.test(part));
}

/** In short names every letter counts. */
function mostEdits(missing: Selector): number {
  const { length } = partsOf(missing).rest;
  return length <= 2 ? 0 : length <= 4 ? 1 : length <= 9 ? 2 : 3;
}

function isPart(missing: Selector, candidate: Selector): boolean {
  const [a, b] = [partsOf(missing), partsOf(candidate)];
  if (a.kind !== b.kind) return false;
  const [shorter, longer] = a.rest.length < b.rest.length ? [a.rest, b.rest] : [b.rest, a.rest];
  if (shorter.length < 3 || /^\d+$/.test(shorter)) return false;
  return longer.startsWith(shorter) || longer.endsWith(shorter);
}

function mostAlike(missing: Selector, candidates: readonly Selector[]): readonly Selector[] {
  if (candidates.length <= 1) return candidates;
  const alike = candidates.map((selector) => ({ selector, likeness: likeness(selector, missing) }));
  return alike
    .toSorted((a, b) => b.likeness - a.likeness)
    .slice(0, MOST_PRESENTED)
    .map(({ selector }) => selector);
}

/** How much both have in common at their ends. */
function likeness(candidate: Selector, missing: Selector): number {
  const [different] = differingParts(candidate.value, missing.value);
  return candidate.value.length - different.length;
}
