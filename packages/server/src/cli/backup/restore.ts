/** `restore`: brings a backup back while no server runs. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import type { Command } from 'commander';
import { addConfigFlags, loadServerConfig, type ConfigFlags } from '../config-flags.js';
import { backupText } from './backup-text.js';
import { readPassphrase } from './passphrase-file.js';

interface Flags extends ConfigFlags {
  readonly input: string;
  readonly passphraseFile?: string;
  readonly force?: boolean;
}

export function restore(command: Command, host: CommandHost): void {
  command
    .requiredOption('--input <file>', 'the backup')
    .option('--passphrase-file <file>', 'its first line decrypts the keys, which are restored too')
    .addOption(switchOption('--force', 'keeps aside what is there, instead of refusing'));
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-server restore --input server.backup --config server.yaml --passphrase-file passphrase',
    'bonafide-server restore --input server.backup --config server.yaml --force',
  ]).action(async (flags: Flags) => {
    const passphrase =
      flags.passphraseFile === undefined ? undefined : await readPassphrase(flags.passphraseFile);
    const config = await loadServerConfig(flags, host);
    const [{ ArchiveReader }, { restoreBackup }, { backedUpServer }] = await Promise.all([
      import('../../backup/archive-reader.js'),
      import('../../backup/restore-backup.js'),
      import('../../backup/backed-up-server.js'),
    ]);
    await using archive = await ArchiveReader.open(flags.input);
    const { manifest, rows, withKeys, aside } = await restoreBackup({
      server: backedUpServer(config),
      archive,
      path: flags.input,
      passphrase,
      force: flags.force === true,
      clock: host.clock,
    });
    host.stdout.write(`Backup restored from ${flags.input}\n${backupText(manifest)}`);
    for (const path of aside) host.stdout.write(`Kept aside: ${path}\n`);
    const tokens = rows.get('join_tokens') ?? 0;
    if (tokens > 0) {
      host.stdout.write(
        `Not restored: ${tokens} join tokens, which may have been spent since; generate new ones\n`,
      );
    }
    if (!withKeys) {
      host.stdout.write(
        'Keys were not restored: the server goes on with its key file, or makes new authorities\n',
      );
    }
  });
}
