/** `import spire`: the registry, the agents and the authorities of a SPIRE server become those of this one. */
import { readFile } from 'node:fs/promises';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import { startProgress } from '@bonafide/shared/cli/progress';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import type { StoredKey } from '../../authority/key-file.js';
import type { ServerConfig } from '../../configuration/server-config.js';
import type { CaJournal } from '../../spire-import/ca-journal.js';
import type { ImportReport } from '../../spire-import/import-report.js';
import type { SpireState } from '../../spire-import/spire-state.js';
import type { SpireDatabase } from '../../store/spire/spire-database.js';
import { addConfigFlags, loadServerConfig, type ConfigFlags } from '../config-flags.js';

interface ImportFlags extends ConfigFlags {
  readonly datastore?: string;
  readonly socket?: string;
  readonly keys?: string;
  readonly journal?: string;
  readonly dryRun?: boolean;
  readonly prune?: boolean;
  readonly output: OutputFormat;
}

/** Files that the import makes: nothing for others, as the server has it. */
const UMASK = 0o077;
const LARGEST_JOURNAL_BYTES = 4 * 1024 * 1024;

export function importSpire(command: Command, host: CommandHost): void {
  command
    .option('--datastore <file|url>', "SPIRE's SQLite file, or the URL of its PostgreSQL database")
    .option('--socket <path>', 'admin socket of a SPIRE server that runs, in place of its datastore')
    .option('--keys <file>', "keys.json of SPIRE's key manager disk: its authorities go on signing here")
    .option(
      '--journal <file>',
      "journal.pem of SPIRE's data_dir, where it is older than 1.8 or is asked by its socket",
    )
    .addOption(switchOption('--dry-run', 'changes nothing and tells what would be'))
    .addOption(
      switchOption(
        '--prune',
        'removes entries, agents, relationships and federated bundles that SPIRE does not have',
      ),
    )
    .addOption(outputOption());
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-server import spire --datastore /opt/spire/data/server/datastore.sqlite3 --keys /opt/spire/data/server/keys.json --config server.yaml --dry-run',
    'bonafide-server import spire --datastore postgres://spire@db.example/spire --keys keys.json --config server.yaml',
  ]).action(async (flags: ImportFlags) => {
    if ((flags.datastore === undefined) === (flags.socket === undefined)) {
      throw invalidArgument('expected one of --datastore and --socket');
    }
    const config = await loadServerConfig(flags, host);
    process.umask(process.umask(UMASK) | UMASK);
    const [state, keys] = [await readState(flags, host, config), await readKeys(flags.keys)];
    const report = await bringOver(flags, host, config, state, keys);
    const { reportJson, reportText } = await import('../../spire-import/import-report.js');
    printAnswer(host, flags.output, { json: () => reportJson(report), pretty: () => reportText(report) });
  });
}

async function readState(flags: ImportFlags, host: CommandHost, config: ServerConfig): Promise<SpireState> {
  const { datastore, socket, journal } = flags;
  const trustDomain = config.server.trust_domain;
  const more = journal === undefined ? [] : [await readJournal(journal)];
  const progress = startProgress(host, 'reading entries of SPIRE');
  const onRead = (count: number): void => {
    progress.advance(count);
  };
  try {
    if (socket !== undefined) {
      const { readLiveSpire } = await import('./read-live-spire.js');
      return await readLiveSpire({ socketPath: socket, trustDomain, journals: more, onRead });
    }
    const database = await openDatabase(datastore ?? '', config);
    try {
      const { readDatastore } = await import('../../spire-import/read-datastore.js');
      const state = await readDatastore({ database, trustDomain, onRead });
      return { ...state, journals: [...state.journals, ...more] };
    } finally {
      await database.close();
    }
  } finally {
    progress.done();
  }
}

async function openDatabase(text: string, config: ServerConfig): Promise<SpireDatabase> {
  // Keywords and values, as SPIRE's configuration has them.
  if (/^postgres(ql)?:\/\//.test(text) || /(^|\s)(host|dbname|user)\s*=/.test(text)) {
    const { openSpirePostgres } = await import('../../store/spire/open-spire-postgres.js');
    return openSpirePostgres(text);
  }
  const [{ openSpireSqlite }, { checkIsOther }] = await Promise.all([
    import('../../store/spire/open-spire-sqlite.js'),
    import('../../wiring/offline-import.js'),
  ]);
  await checkIsOther(config, text);
  return openSpireSqlite(text);
}

async function readJournal(path: string): Promise<CaJournal> {
  const { parseJournalPem } = await import('../../spire-import/ca-journal.js');
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new BonafideError('failed_precondition', `cannot read --journal: ${errorMessage(error)}`, {
      cause: error,
    });
  });
  if (text.length > LARGEST_JOURNAL_BYTES) throw invalidArgument('--journal is longer than 4 MiB');
  return parseJournalPem(text);
}

async function readKeys(path: string | undefined): Promise<ReadonlyMap<string, StoredKey> | undefined> {
  if (path === undefined) return undefined;
  const { readKeyFile } = await import('../../authority/key-file.js');
  const keys = await readKeyFile(path);
  if (keys !== undefined) return keys;
  throw new BonafideError(
    'not_found',
    `there is no file ${path}; name the keys_path of SPIRE's key manager disk`,
  );
}

async function bringOver(
  flags: ImportFlags,
  host: CommandHost,
  config: ServerConfig,
  state: SpireState,
  keys: ReadonlyMap<string, StoredKey> | undefined,
): Promise<ImportReport> {
  const [
    { openImportTarget },
    { runImport },
    { findUnsupported },
    { BUILT_IN_NODE_ATTESTORS },
    { createLogger },
  ] = await Promise.all([
    import('../../wiring/offline-import.js'),
    import('../../spire-import/run-import.js'),
    import('../../spire-import/find-unsupported.js'),
    import('../../node-attestation/attestors.js'),
    import('@bonafide/shared/runtime/logger'),
  ]);
  const { clock } = host;
  const isDryRun = flags.dryRun === true;
  const log = createLogger({ level: 'warn', format: 'text', file: undefined });
  const configured = Object.entries(config.plugins.NodeAttestor).flatMap(([type, of]) =>
    of === undefined ? [] : [type],
  );
  const warnings = findUnsupported(state, {
    configuredAttestors: new Set(configured),
    attestors: BUILT_IN_NODE_ATTESTORS,
  });
  const target = await openImportTarget({ config, clock, log, isDryRun });
  const progress = startProgress(
    host,
    isDryRun ? 'comparing entries' : 'importing entries',
    state.entries.length,
  );
  try {
    return await runImport({
      ...target,
      ...{ clock, state, keys, isDryRun, warnings, prune: flags.prune === true },
      onEntry: (count) => {
        progress.advance(count);
      },
    });
  } finally {
    progress.done();
    await target.close();
  }
}
