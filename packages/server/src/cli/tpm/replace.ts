/** `tpm replace`: another TPM takes the place of one, with its entries: for a new mainboard in an old machine. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { counted } from '../printed-words.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { ekHashOption, requiredEkHash } from './ek-hash-flag.js';

interface ReplaceFlags extends ServerFlags, WaitFlag {
  readonly old?: string;
  readonly new?: string;
  readonly output: OutputFormat;
}

export function tpmReplace(command: Command, host: CommandHost): void {
  command
    .addOption(ekHashOption('--old <hash>', 'the TPM that is gone'))
    .addOption(ekHashOption('--new <hash>', 'the TPM that takes its place'))
    .addOption(waitOption())
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    `bonafide-server tpm replace --old ${'7d'.repeat(32)} --new ${'a4'.repeat(32)}`,
  ]).action(async (flags: ReplaceFlags) => {
    const oldEkHash = requiredEkHash(flags.old, '--old');
    const newEkHash = requiredEkHash(flags.new, '--new');
    await withServer(flags, host, async (server) => {
      const service = 'bonafide.attestation.v1.TpmEnrollment';
      const { movedEntries } = await server.call(service, 'replaceTpm', { oldEkHash, newEkHash });
      await printAndWait(server, host, flags, (delivery) => {
        printAnswer(host, flags.output, {
          json: () => ({ moved_entries: movedEntries, ...(delivery === undefined ? {} : { delivery }) }),
          pretty: () => `TPM replaced; ${counted(movedEntries, 'entry', 'entries')} moved to the new one\n`,
        });
      });
    });
  });
}
