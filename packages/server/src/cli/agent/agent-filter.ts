/** The flags by which `agent list` and `agent count` choose agents. */
import { repeatedOption, valueOption } from '@bonafide/shared/cli/option-values';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseSelector, type MatchBehavior, type Selector } from '@bonafide/shared/registration/selector';
import type { _spire_api_server_agent_v1_ListAgentsRequest_Filter as AgentFilter } from '@bonafide/shared/rpc/gen/spire/api/server/agent/v1/ListAgentsRequest';
import type { Command } from 'commander';
import { matchOption, selectorMatch } from '../selector-match.js';

export interface AgentFilterFlags {
  readonly selector?: readonly Selector[];
  readonly matchSelectorsOn: MatchBehavior;
  readonly attestationType?: string;
  readonly canReattest?: string;
  readonly banned?: string;
  readonly expiresBefore?: string;
}

export function addAgentFilterFlags(command: Command): Command {
  return command
    .addOption(
      repeatedOption('--selector <type:value>', 'agents whose node has this selector', parseSelector),
    )
    .addOption(matchOption('--match-selectors-on', 'selectors'))
    .option('--attestation-type <type>', 'agents attested this way, for example join_token')
    .option('--can-reattest <true|false>', 'agents that can (or cannot) attest again; any other word: all')
    .option('--banned <true|false>', 'agents that are (or are not) banned; any other word: all')
    .addOption(
      valueOption(
        '--expires-before <time>',
        'agents whose SVID ends before then: 2026-01-02T15:04:05Z, or "2026-01-02 15:04:05 -0700 -07"',
        wireTime,
      ),
    );
}

export function agentFilter(flags: AgentFilterFlags): AgentFilter {
  return {
    bySelectorMatch: selectorMatch(flags.selector, flags.matchSelectorsOn),
    byAttestationType: flags.attestationType ?? '',
    byCanReattest: condition(flags.canReattest),
    byBanned: condition(flags.banned),
    byExpiresBefore: flags.expiresBefore ?? '',
  };
}

function condition(word: string | undefined): { readonly value: boolean } | null {
  return word === 'true' || word === 'false' ? { value: word === 'true' } : null;
}

const WIRE_TIME = /^(\d{4}-\d{2}-\d{2}) (\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2}) [+-]\d{2}$/;

/** What the API takes, `2006-01-02 15:04:05 -0700 -07` in Go's notation; RFC 3339 is turned into it. */
function wireTime(text: string): string {
  const [, day, time, hours, minutes] = WIRE_TIME.exec(text) ?? [];
  const iso = day === undefined ? text : `${day}T${time ?? ''}${hours ?? ''}:${minutes ?? ''}`;
  const isComplete = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(iso);
  const date = new Date(isComplete ? iso : NaN);
  if (Number.isNaN(date.getTime())) {
    throw invalidArgument('expected a time such as 2026-01-02T15:04:05Z or "2026-01-02 15:04:05 +0000 +00"');
  }
  if (day !== undefined) return text;
  const utc = date.toISOString();
  return `${utc.slice(0, 10)} ${utc.slice(11, 19)} +0000 +00`;
}
