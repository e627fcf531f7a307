/** Where the commands about the audit log find it: files, folders of them, or the database of a configuration. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { switchOption } from '@bonafide/shared/cli/option-values';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import type { AuditRecord } from '../../audit/audit-record.js';
import type { RecordMatch } from '../../audit/match-record.js';
import type { ConfigFlags } from '../config-flags.js';

export interface SourceFlags {
  readonly file?: readonly string[];
  readonly database?: boolean;
  readonly config?: string;
  readonly expandEnv?: boolean;
}

export interface SourceLine {
  readonly bytes: Buffer;
  readonly where: string;
  readonly isEnded: boolean;
  /** Of which chain, where it is known before the line is read. */
  readonly serverId: string | undefined;
}

export function addSourceFlags(command: Command): Command {
  return command
    .option('--file <path...>', 'audit files, or folders with rotated ones, oldest first; .gz is read too')
    .addOption(switchOption('--database', 'the table audit_events of the database that --config names'))
    .option('--config <file>', 'configuration file of the server')
    .addOption(switchOption('--expand-env', 'replaces $NAME and ${NAME} in the configuration file'));
}

/** @throws BonafideError `invalid_argument` when it is not said where the log is, or it cannot be read. */
export async function* sourceLines(
  flags: SourceFlags,
  host: CommandHost,
  range: Pick<RecordMatch, 'since' | 'until'> = {},
): AsyncGenerator<SourceLine, void> {
  if ((flags.file === undefined) === (flags.database !== true)) {
    throw invalidArgument('it is not clear where the audit log is; expected --file or --database');
  }
  if (flags.database === true) yield* databaseLines(flags, host, range);
  for (const path of flags.file ?? []) {
    const { auditFilesAt, readLines } = await import('../../audit/read-lines.js');
    for (const file of await auditFilesAt(path)) {
      for await (const { number, bytes, isEnded } of readLines(file)) {
        yield { bytes, isEnded, where: `${file}:${number}`, serverId: undefined };
      }
    }
  }
}

/** Each is whole in itself; the place in the chain is for `audit verify` to check. */
export async function* sourceRecords(
  flags: SourceFlags,
  host: CommandHost,
  match: RecordMatch,
): AsyncGenerator<AuditRecord, void> {
  const [{ parseRecord }, { matches }] = await Promise.all([
    import('../../audit/audit-record.js'),
    import('../../audit/match-record.js'),
  ]);
  for await (const { bytes, where, isEnded } of sourceLines(flags, host, match)) {
    if (!isEnded) continue; // it is being written, or was when the server died
    let record;
    try {
      record = parseRecord(bytes.toString('utf8'));
    } catch (error) {
      throw new BonafideError(
        'invalid_argument',
        `${where}: the record ${errorMessage(error)}; see 'bonafide-server audit verify'`,
        { cause: error },
      );
    }
    if (matches(record, match)) yield record;
  }
}

async function* databaseLines(
  flags: SourceFlags,
  host: CommandHost,
  range: Pick<RecordMatch, 'since' | 'until'>,
): AsyncGenerator<SourceLine, void> {
  const [{ loadServerConfig }, { openAuditDatabase, rowsOf }] = await Promise.all([
    import('../config-flags.js'),
    import('../../audit/audit-database.js'),
  ]);
  const named: ConfigFlags = {
    ...(flags.config === undefined ? {} : { config: flags.config }),
    ...(flags.expandEnv === undefined ? {} : { expandEnv: flags.expandEnv }),
  };
  const { records, close } = await openAuditDatabase(await loadServerConfig(named, host));
  try {
    for await (const { serverId, seq, line } of rowsOf(records, range)) {
      yield { bytes: Buffer.from(line), isEnded: true, where: `${serverId}/${seq}`, serverId };
    }
  } finally {
    await close();
  }
}
