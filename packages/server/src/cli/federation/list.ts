/** `federation list`: the relationships that were made through the API; those of the configuration file are not among them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { FederationRelationship__Output } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import type { Command } from 'commander';
import { listPages } from '../list-pages.js';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { federationText } from './federation-text.js';

interface ListFlags extends ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.trustdomain.v1.TrustDomain';

export function federationList(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-server federation list']).action(async (flags: ListFlags) => {
    const relationships = await withServer(flags, host, fetchRelationships);
    const found = counted(relationships.length, 'federation relationship', 'federation relationships');
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.server.trustdomain.v1.ListFederationRelationshipsResponse',
      message: { federationRelationships: relationships, nextPageToken: '' },
      pretty: () => `Found ${found}\n${relationships.map((item) => `\n${federationText(item)}`).join('')}`,
    });
  });
}

function fetchRelationships(server: ServerConnection): Promise<readonly FederationRelationship__Output[]> {
  return listPages(async (page) => {
    const { federationRelationships: items, nextPageToken } = await server.call(
      SERVICE,
      'listFederationRelationships',
      page,
    );
    return { items, nextPageToken };
  });
}
