/** How list commands compare a set with the one they name: the words of `--match-selectors-on` and `--match-federates-with-on`. */
import { oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import type { MatchBehavior, Selector } from '@bonafide/shared/registration/selector';
import { matchBehaviorToProto, selectorsToProto } from '@bonafide/shared/rpc/codec/selector';
import type { SelectorMatch } from '@bonafide/shared/rpc/gen/spire/api/types/SelectorMatch';
import type { Option } from 'commander';

export function matchOption(flag: string, what: string): Option {
  const description = `how ${what} are compared: exact, any, superset or subset`;
  return valueOption(`${flag} <mode>`, description, oneOf('exact', 'any', 'superset', 'subset')).default(
    'superset',
  );
}

/** Null, which matches everything, when no selector is named. */
export function selectorMatch(
  selectors: readonly Selector[] | undefined,
  match: MatchBehavior,
): SelectorMatch | null {
  return selectors === undefined
    ? null
    : { selectors: selectorsToProto(selectors), match: matchBehaviorToProto(match) };
}
