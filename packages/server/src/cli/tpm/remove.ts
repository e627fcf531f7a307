/** `tpm remove`: the TPM may not attest any more, and its agent is banned. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, printAnswer, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { ekHashOption, requiredEkHash, type EkHashFlag } from './ek-hash-flag.js';

interface RemoveFlags extends EkHashFlag, ServerFlags, WaitFlag {
  readonly output: OutputFormat;
}

export function tpmRemove(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(ekHashOption()).addOption(waitOption()).addOption(outputOption()));
  addExamples(command, [`bonafide-server tpm remove --ek-hash ${'7d'.repeat(32)}`]).action(
    async (flags: RemoveFlags) => {
      const ekHash = requiredEkHash(flags.ekHash);
      await withServer(flags, host, async (server) => {
        await server.call('bonafide.attestation.v1.TpmEnrollment', 'removeEnrolledTpm', { ekHash });
        await printAndWait(server, host, flags, (delivery) => {
          printAnswer(host, flags.output, {
            json: () => (delivery === undefined ? {} : { delivery }),
            pretty: () => 'TPM removed; its agent, if it had one, is banned\n',
          });
        });
      });
    },
  );
}
