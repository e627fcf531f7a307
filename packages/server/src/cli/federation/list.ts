/** `federation list`: the relationships that were made through the API; those of the configuration file are not among them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { FederationRelationship__Output } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer, type ServerConnection } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { federationText } from './federation-text.js';

interface ListFlags extends ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.trustdomain.v1.TrustDomain';
const PAGE_SIZE = 100;

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

async function fetchRelationships(
  server: ServerConnection,
): Promise<readonly FederationRelationship__Output[]> {
  const relationships: FederationRelationship__Output[] = [];
  let pageToken = '';
  do {
    const request = { pageSize: PAGE_SIZE, pageToken };
    const page = await server.call(SERVICE, 'listFederationRelationships', request);
    if (page.nextPageToken !== '' && page.nextPageToken === pageToken) {
      throw new BonafideError('internal', 'the server gave the same page twice');
    }
    relationships.push(...page.federationRelationships);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return relationships;
}
