/** `tpm list`: the TPMs that were enrolled by command; those of `ek_hashes_path` are not among them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { listingText } from '@bonafide/shared/cli/table';
import type { EnrolledTpm__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/EnrolledTpm';
import type { Command } from 'commander';
import { listPages } from '../list-pages.js';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface ListFlags extends ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'bonafide.attestation.v1.TpmEnrollment';

export function tpmList(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-server tpm list']).action(async (flags: ListFlags) => {
    const tpms = await withServer(flags, host, fetchTpms);
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'bonafide.attestation.v1.ListEnrolledTpmsResponse',
      message: { tpms, nextPageToken: '' },
      pretty: () =>
        listingText(host, {
          headings: ['EK hash', 'Enrolled at', 'Note'],
          rows: tpms.map(({ ekHash, enrolledAt, note }) => [
            ekHash,
            new Date(enrolledAt).toISOString(),
            note,
          ]),
          plain: () =>
            `Found ${counted(tpms.length, 'enrolled TPM', 'enrolled TPMs')}\n${tpms.map(tpmText).join('')}`,
        }),
    });
  });
}

function tpmText({ ekHash, note, enrolledAt }: EnrolledTpm__Output): string {
  const since = new Date(enrolledAt).toISOString();
  return `\nEK hash     : ${ekHash}\nEnrolled at : ${since}\n${note === '' ? '' : `Note        : ${note}\n`}`;
}

function fetchTpms(server: ServerConnection): Promise<readonly EnrolledTpm__Output[]> {
  return listPages(async (page) => {
    const { tpms: items, nextPageToken } = await server.call(SERVICE, 'listEnrolledTpms', page);
    return { items, nextPageToken };
  });
}
