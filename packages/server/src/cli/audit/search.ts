/** `audit search`: the records that somebody looks for. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, integerBetween, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import type { AuditRecord } from '../../audit/audit-record.js';
import { addSourceFlags, sourceRecords, type SourceFlags } from './audit-source.js';
import { addMatchFlags, matchOf, type MatchFlags } from './match-flags.js';

interface SearchFlags extends SourceFlags, MatchFlags {
  readonly limit?: number;
  readonly output: OutputFormat;
}

const MOST = 1_000_000_000;

export function auditSearch(command: Command, host: CommandHost): void {
  addMatchFlags(addSourceFlags(command))
    .addOption(valueOption('--limit <count>', 'no more than these, the first ones', integerBetween(1, MOST)))
    .addOption(outputOption());
  addExamples(command, [
    'bonafide-server audit search --file audit.log --since 24h --result denied',
    'bonafide-server audit search --file audit.log --svid 0f3a --output json',
    'bonafide-server audit search --database --config server.yaml --event issuance',
  ]).action(async (flags: SearchFlags) => {
    let found = 0;
    for await (const record of sourceRecords(flags, host, matchOf(flags, host.clock.now()))) {
      host.stdout.write(flags.output === 'json' ? `${JSON.stringify(record)}\n` : lineOf(record));
      found += 1;
      if (found === flags.limit) break;
    }
    if (found === 0 && flags.output === 'pretty') host.stderr.write('No record matches.\n');
  });
}

function lineOf({
  seq,
  time,
  event,
  result,
  actor,
  subject,
  svid,
  request_id: requestId,
  reason,
}: AuditRecord): string {
  const who = actor.spiffe_id ?? (actor.uid === undefined ? actor.kind : `uid:${actor.uid}`);
  const about = [
    ...Object.entries(subject ?? {}).map(([name, value]) => `${name}=${value}`),
    ...(svid?.serial_number === undefined ? [] : [`serial_number=${svid.serial_number}`]),
    ...(svid?.jti === undefined ? [] : [`jti=${svid.jti}`]),
    ...(actor.address === undefined ? [] : [`address=${actor.address}`]),
    ...(requestId === undefined ? [] : [`request_id=${requestId}`]),
    ...(reason === undefined ? [] : [`reason=${JSON.stringify(reason)}`]),
  ];
  return `${time} ${seq} ${event} ${result} by ${printable(who)} ${printable(about.join(' '))}\n`;
}

/** What others have said must not move the cursor. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, '\ufffd');
}
