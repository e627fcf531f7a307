/** `tpm enroll`: lets the machine with this TPM attest. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { ekHashOption, requiredEkHash, type EkHashFlag } from './ek-hash-flag.js';

interface EnrollFlags extends EkHashFlag, ServerFlags {
  readonly note?: string;
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.attestation.v1.TpmEnrollment';

export function tpmEnroll(command: Command, host: CommandHost): void {
  command
    .addOption(ekHashOption())
    .option('--note <text>', 'for people: where the machine is, whose it is')
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    `bonafide-server tpm enroll --ek-hash ${'7d'.repeat(32)} --note "rack 7, third from above"`,
  ]).action(async (flags: EnrollFlags) => {
    const request = { ekHash: requiredEkHash(flags.ekHash), note: flags.note ?? '' };
    const message = await withServer(flags, host, (server) => server.call(SERVICE, 'enrollTpm', request));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'bonafide.attestation.v1.EnrolledTpm',
      message,
      pretty: () => `TPM enrolled: ${message.ekHash}\n`,
    });
  });
}
