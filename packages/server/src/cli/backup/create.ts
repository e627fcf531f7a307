/** `backup`: copies the database, and the keys when asked, into one file, while the server runs. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import { startProgress, type Progress } from '@bonafide/shared/cli/progress';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import type { Command } from 'commander';
import { addConfigFlags, loadServerConfig, type ConfigFlags } from '../config-flags.js';
import { backupText } from './backup-text.js';
import { readPassphrase } from './passphrase-file.js';

interface Flags extends ConfigFlags {
  readonly output: string;
  readonly includeKeys?: boolean;
  readonly passphraseFile?: string;
}

export function backupCreate(command: Command, host: CommandHost): void {
  command
    .requiredOption('--output <file>', 'the backup to write; must not be there yet')
    .addOption(switchOption('--include-keys', 'also the keys of the authorities, under a passphrase'))
    .option('--passphrase-file <file>', 'its first line encrypts the keys');
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-server backup --config server.yaml --output server.backup',
    'bonafide-server backup --config server.yaml --output server.backup --include-keys --passphrase-file passphrase',
  ]).action(async (flags: Flags) => {
    const includesKeys = flags.includeKeys === true;
    if (includesKeys !== (flags.passphraseFile !== undefined)) {
      throw invalidArgument('--include-keys and --passphrase-file are given together or not at all');
    }
    const passphrase =
      flags.passphraseFile === undefined ? undefined : await readPassphrase(flags.passphraseFile);
    const config = await loadServerConfig(flags, host);
    const [{ createBackup }, { backedUpServer }] = await Promise.all([
      import('../../backup/create-backup.js'),
      import('../../backup/backed-up-server.js'),
    ]);
    let shown: Progress | undefined;
    try {
      const manifest = await createBackup({
        server: backedUpServer(config),
        path: flags.output,
        passphrase,
        programVersion: programVersion(),
        clock: host.clock,
        progress: {
          start: (total) => (shown = startProgress(host, 'backing up rows', total)),
          advance: (rows) => shown?.advance(rows),
        },
      });
      shown?.done();
      host.stdout.write(`Backup written to ${flags.output}\n${backupText(manifest)}`);
    } finally {
      shown?.done();
    }
  });
}
