/** Selectors on the wire, and the filters that compare sets of selectors or of trust domains. */
import { invalidArgument } from '../../errors/bonafide-error.js';
import {
  createSelector,
  normalizeSelectors,
  type MatchBehavior,
  type Selector,
} from '../../registration/selector.js';
import type { TrustDomain } from '../../spiffe-id/trust-domain.js';
import type {
  FederatesWithMatch__Output,
  _spire_api_types_FederatesWithMatch_MatchBehavior__Output as TrustDomainBehavior,
} from '../gen/spire/api/types/FederatesWithMatch.js';
import type { Selector__Output } from '../gen/spire/api/types/Selector.js';
import type {
  SelectorMatch__Output,
  _spire_api_types_SelectorMatch_MatchBehavior__Output as SelectorBehavior,
} from '../gen/spire/api/types/SelectorMatch.js';
import { enumFromProto, inField, listFromProto } from './field.js';
import { MAX_SELECTORS } from './limits.js';
import { trustDomainsFromProto } from './spiffe-id.js';

/** One side of a comparison; see MatchBehavior. */
export interface SetFilter<T> {
  readonly named: readonly T[];
  readonly match: MatchBehavior;
}

const BEHAVIORS = {
  MATCH_EXACT: 'exact',
  MATCH_SUBSET: 'subset',
  MATCH_SUPERSET: 'superset',
  MATCH_ANY: 'any',
} as const satisfies Record<SelectorBehavior & TrustDomainBehavior, MatchBehavior>;

const WIRE_BEHAVIORS = {
  exact: 'MATCH_EXACT',
  subset: 'MATCH_SUBSET',
  superset: 'MATCH_SUPERSET',
  any: 'MATCH_ANY',
} as const satisfies Record<MatchBehavior, SelectorBehavior & TrustDomainBehavior>;

/** Sorted, without repeats. @throws BonafideError `invalid_argument`. */
export function selectorsFromProto(
  selectors: readonly Selector__Output[],
  field = 'selectors',
): readonly Selector[] {
  return normalizeSelectors(
    listFromProto(field, selectors, MAX_SELECTORS, ({ type, value }) => createSelector(type, value)),
  );
}

export function selectorsToProto(selectors: readonly Selector[]): { type: string; value: string }[] {
  return selectors.map(({ type, value }) => ({ type, value }));
}

/** @throws BonafideError `invalid_argument`, also when no selector is named, because that filter would match nothing or all. */
export function selectorFilterFromProto(
  filter: SelectorMatch__Output,
  field = 'by_selectors',
): SetFilter<Selector> {
  return inField(field, () => ({
    named: requireSome(selectorsFromProto(filter.selectors), 'selector'),
    match: matchBehaviorFromProto(filter.match),
  }));
}

/** @throws BonafideError `invalid_argument`, also when no trust domain is named. */
export function trustDomainFilterFromProto(
  filter: FederatesWithMatch__Output,
  field = 'by_federates_with',
): SetFilter<TrustDomain> {
  return inField(field, () => ({
    named: requireSome(trustDomainsFromProto(filter.trustDomains, 'trust_domains'), 'trust domain'),
    match: matchBehaviorFromProto(filter.match),
  }));
}

/** @throws BonafideError `invalid_argument` for a behavior that is not known here. */
export function matchBehaviorFromProto(behavior: string | number): MatchBehavior {
  return enumFromProto('match', behavior, BEHAVIORS);
}

export function matchBehaviorToProto(behavior: MatchBehavior): (typeof WIRE_BEHAVIORS)[MatchBehavior] {
  return WIRE_BEHAVIORS[behavior];
}

function requireSome<T>(named: readonly T[], what: string): readonly T[] {
  if (named.length === 0) throw invalidArgument(`empty ${what} set`);
  return named;
}
