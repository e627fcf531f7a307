/** `backup verify`: tells whether a backup is whole and could be restored by this release. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import type { Command } from 'commander';
import { backupText } from './backup-text.js';
import { readPassphrase } from './passphrase-file.js';

interface Flags {
  readonly passphraseFile?: string;
}

export function backupVerify(command: Command, host: CommandHost): void {
  command
    .argument('<file>', 'the backup')
    .option('--passphrase-file <file>', 'tries its first line on the keys, too');
  addExamples(command, [
    'bonafide-server backup verify server.backup',
    'bonafide-server backup verify server.backup --passphrase-file passphrase',
  ]).action(async (path: string, flags: Flags) => {
    const passphrase =
      flags.passphraseFile === undefined ? undefined : await readPassphrase(flags.passphraseFile);
    const [{ ArchiveReader }, { verifyBackup }] = await Promise.all([
      import('../../backup/archive-reader.js'),
      import('../../backup/verify-backup.js'),
    ]);
    await using archive = await ArchiveReader.open(path);
    await verifyBackup(archive, passphrase);
    host.stdout.write(`Backup is whole\n${backupText(archive.manifest)}`);
  });
}
