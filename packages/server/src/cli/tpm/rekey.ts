/** `tpm rekey`: forgets which attestation key a TPM had, for one whose endorsement seed was changed on purpose. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { ekHashOption, requiredEkHash, type EkHashFlag } from './ek-hash-flag.js';

interface RekeyFlags extends EkHashFlag, ServerFlags {
  readonly output: OutputFormat;
}

export function tpmRekey(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(ekHashOption()).addOption(outputOption()));
  addExamples(command, [`bonafide-server tpm rekey --ek-hash ${'7d'.repeat(32)}`]).action(
    async (flags: RekeyFlags) => {
      const ekHash = requiredEkHash(flags.ekHash);
      await withServer(flags, host, (server) =>
        server.call('bonafide.attestation.v1.TpmEnrollment', 'rekeyTpm', { ekHash }),
      );
      printAnswer(host, flags.output, {
        json: () => ({}),
        pretty: () => 'Attestation key forgotten; the next attestation of this TPM sets it anew\n',
      });
    },
  );
}
