/** `audit export`: records in the form that a SIEM takes, one a line. */
import { once } from 'node:events';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import type { Command } from 'commander';
import type { AuditRecord } from '../../audit/audit-record.js';
import { addSourceFlags, sourceRecords, type SourceFlags } from './audit-source.js';
import { addMatchFlags, matchOf, type MatchFlags } from './match-flags.js';

const FORMATS = ['jsonl', 'ocsf', 'cef'] as const;

interface ExportFlags extends SourceFlags, MatchFlags {
  readonly format: (typeof FORMATS)[number];
}

export function auditExport(command: Command, host: CommandHost): void {
  addMatchFlags(addSourceFlags(command)).addOption(
    valueOption('--format <format>', FORMATS.join(', '), oneOf(...FORMATS)).makeOptionMandatory(),
  );
  addExamples(command, [
    'bonafide-server audit export --file audit.log --format ocsf',
    'bonafide-server audit export --file /var/log/bonafide --format cef --since 24h',
  ]).action(async (flags: ExportFlags) => {
    const format = await formatter(flags.format);
    for await (const record of sourceRecords(flags, host, matchOf(flags, host.clock.now()))) {
      // A pipe that is read slowly holds the reading up, so that nothing piles up in memory.
      if (host.stdout.write(`${format(record)}\n`) === false && isEmitter(host.stdout)) {
        await once(host.stdout, 'drain');
      }
    }
  });
}

async function formatter(format: ExportFlags['format']): Promise<(record: AuditRecord) => string> {
  if (format === 'jsonl') return (record) => JSON.stringify(record);
  const version = programVersion();
  if (format === 'cef') {
    const { cefOf } = await import('../../audit/export-cef.js');
    return (record) => cefOf(record, version);
  }
  const { ocsfOf } = await import('../../audit/export-ocsf.js');
  return (record) => JSON.stringify(ocsfOf(record, version));
}

function isEmitter(sink: CommandHost['stdout']): sink is NodeJS.WriteStream {
  return 'once' in sink;
}
