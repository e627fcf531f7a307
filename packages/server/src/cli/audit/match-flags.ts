/** The flags by which records are chosen. */
import { repeatedOption, suggestingOption, valueOption } from '@bonafide/shared/cli/option-values';
import { parseDuration } from '@bonafide/shared/config/go-duration';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import { AUDIT_CATEGORIES, isAuditEventName } from '../../audit/audit-events.js';
import type { RecordMatch } from '../../audit/match-record.js';

export interface MatchFlags {
  readonly since?: string;
  readonly until?: string;
  readonly event?: readonly string[];
  readonly result?: string;
  readonly actor?: string;
  readonly spiffeId?: string;
  readonly entryId?: string;
  readonly svid?: string;
  readonly requestId?: string;
}

export function addMatchFlags(command: Command): Command {
  return command
    .option('--since <time>', 'from then on: 2026-01-31T12:00:00Z, or a duration such as 2h before now')
    .option('--until <time>', 'up to then, in the same forms')
    .addOption(
      repeatedOption('--event <name>', 'an event, or a category of them; may be repeated', parseEvent),
    )
    .addOption(
      suggestingOption('--result <result>', 'how it ended', ['success', 'denied', 'failure']).argParser(
        parseResult,
      ),
    )
    .option('--actor <name>', 'who did it: a SPIFFE ID, uid:1000, an IP address, or a kind of caller')
    .option('--spiffe-id <id>', 'to whom: the SPIFFE ID of a workload or an agent')
    .option('--entry-id <id>', 'the registration entry')
    .addOption(
      valueOption('--svid <number>', 'serial number of an X.509-SVID, or jti of a token', (text) => text),
    )
    .option('--request-id <id>', 'the call, as the log names it');
}

export function matchOf(flags: MatchFlags, now: Date): RecordMatch {
  const { since, until, event: events, ...same } = flags;
  return {
    ...same,
    events,
    since: since === undefined ? undefined : parseTime('--since', since, now),
    until: until === undefined ? undefined : parseTime('--until', until, now),
  };
}

function parseTime(flag: string, text: string, now: Date): Date {
  if (/^\d{4}-/.test(text)) {
    const time = new Date(text);
    if (!Number.isNaN(time.getTime())) return time;
  } else {
    try {
      return new Date(now.getTime() - parseDuration(text) * 1000);
    } catch {
      // told of below
    }
  }
  throw invalidArgument(`${flag}: ${text} is no time; expected for example 2026-01-31T12:00:00Z or 2h`);
}

function parseEvent(text: string): string {
  if (isAuditEventName(text) || AUDIT_CATEGORIES.some((category) => category === text)) return text;
  throw invalidArgument(
    `${text} is no event of the audit log; docs/audit.md lists them, and categories are ${AUDIT_CATEGORIES.join(', ')}`,
  );
}

function parseResult(text: string): string {
  if (['success', 'denied', 'failure'].includes(text)) return text;
  throw invalidArgument(`${text} is no result; expected success, denied or failure`);
}
