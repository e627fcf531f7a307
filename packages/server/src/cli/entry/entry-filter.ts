/** The flags by which `entry show` and `entry count` choose entries. */
import { repeatedOption, switchOption, valueOption } from '@bonafide/shared/cli/option-values';
import { parseSelector, type MatchBehavior, type Selector } from '@bonafide/shared/registration/selector';
import { matchBehaviorToProto } from '@bonafide/shared/rpc/codec/selector';
import { spiffeIdToProto } from '@bonafide/shared/rpc/codec/spiffe-id';
import type { _spire_api_server_entry_v1_ListEntriesRequest_Filter as EntryFilter } from '@bonafide/shared/rpc/gen/spire/api/server/entry/v1/ListEntriesRequest';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { matchOption, selectorMatch } from '../selector-match.js';

export interface EntryFilterFlags {
  readonly spiffeId?: SpiffeId;
  readonly parentId?: SpiffeId;
  readonly selector?: readonly Selector[];
  readonly matchSelectorsOn: MatchBehavior;
  readonly federatesWith?: readonly TrustDomain[];
  readonly matchFederatesWithOn: MatchBehavior;
  readonly downstream?: boolean;
  readonly hint?: string;
}

export function addEntryFilterFlags(command: Command): Command {
  return command
    .addOption(valueOption('--spiffe-id <id>', 'entries that grant this SPIFFE ID', parseSpiffeId))
    .addOption(valueOption('--parent-id <id>', 'entries under this parent', parseSpiffeId))
    .addOption(repeatedOption('--selector <type:value>', 'entries with this selector', parseSelector))
    .addOption(matchOption('--match-selectors-on', 'selectors'))
    .addOption(
      repeatedOption(
        '--federates-with <trust-domain>',
        'entries that federate with it',
        parseTrustDomainOrId,
      ),
    )
    .addOption(matchOption('--match-federates-with-on', 'trust domains'))
    .addOption(switchOption('--downstream', 'entries of downstream servers alone'))
    .option('--hint <text>', 'entries with this hint');
}

export function entryFilter(flags: EntryFilterFlags): EntryFilter {
  const { spiffeId, parentId, federatesWith, hint } = flags;
  return {
    bySpiffeId: spiffeId === undefined ? null : spiffeIdToProto(spiffeId),
    byParentId: parentId === undefined ? null : spiffeIdToProto(parentId),
    bySelectors: selectorMatch(flags.selector, flags.matchSelectorsOn),
    byFederatesWith:
      federatesWith === undefined
        ? null
        : { trustDomains: [...federatesWith], match: matchBehaviorToProto(flags.matchFederatesWithOn) },
    byHint: hint === undefined ? null : { value: hint },
    // As SPIRE's does; servers take false for no condition.
    byDownstream: { value: flags.downstream ?? false },
  };
}
