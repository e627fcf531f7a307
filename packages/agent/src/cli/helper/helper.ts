/** `helper`: keeps the identity of a program that only reads files on the disk, and tells it of every change. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, switchOption } from '@bonafide/shared/cli/option-values';
import type { Command } from 'commander';
import { addSocketFlags } from '../workload-socket.js';
import { loadHelperFile, outputLogFlags, type HelperFlags } from './helper-flags.js';

export function helper(command: Command, host: CommandHost): void {
  command
    .argument('[cmd...]', 'after --: a program to run, with its arguments, once its files are there')
    .option('--config <file>', "configuration file, YAML or JSON, with spiffe-helper's keys")
    .option('--cert-dir <directory>', 'writes svid.pem, svid_key.pem and svid_bundle.pem there')
    .option('--spiffe-id <id>', 'the identity to write, of several; the first unless told')
    .option('--hint <hint>', 'the identity to write, by its hint')
    .option('--owner <user>', 'user whose files they become')
    .option('--group <group>', 'group whose files they become; it may read the key')
    .option('--pid-file <file>', 'a file that names the process to signal at every change')
    .option('--renew-signal <signal>', 'that signal, or the one for cmd')
    .option('--reload-unit <unit>', 'a systemd unit to reload at every change')
    .addOption(switchOption('--include-federated-domains', 'adds the bundles of federated trust domains'))
    .addOption(switchOption('--restart', 'starts cmd again when it ends'))
    .addOption(switchOption('--once', 'writes the files once and ends'));
  addSocketFlags(outputLogFlags(command));
  addExamples(command, [
    'bonafide-agent helper --cert-dir /run/nginx/svid --pid-file /run/nginx.pid --renew-signal SIGHUP',
    'bonafide-agent helper --cert-dir /run/db/svid --owner postgres --reload-unit postgresql@15-main',
    'bonafide-agent helper --cert-dir /run/web/svid --renew-signal SIGHUP -- /usr/bin/web --tls /run/web/svid',
    'bonafide-agent helper --config helper.yaml',
  ]).action(async (cmd: readonly string[], flags: HelperFlags) => {
    const file = await loadHelperFile(flags, cmd);
    const { runHelpers } = await import('./run-helpers.js');
    await runHelpers(file, flags, host);
  });
}
