/** `federation show`: one relationship that was made through the API. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { federationText } from './federation-text.js';

interface ShowFlags extends ServerFlags {
  readonly trustDomain?: TrustDomain;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.trustdomain.v1.TrustDomain';

export function federationShow(command: Command, host: CommandHost): void {
  command
    .addOption(valueOption('--trust-domain <name>', 'trust domain of the relationship', parseTrustDomainOrId))
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, ['bonafide-server federation show --trust-domain other.example']).action(
    async ({ trustDomain, output, ...flags }: ShowFlags) => {
      if (trustDomain === undefined) {
        throw invalidArgument(
          'a trust domain name is required; add --trust-domain, for example other.example',
        );
      }
      const relationship = await withServer(flags, host, (server) =>
        server.call(SERVICE, 'getFederationRelationship', { trustDomain }),
      );
      printMessage(host, output, {
        service: SERVICE,
        name: 'spire.api.types.FederationRelationship',
        message: relationship,
        pretty: () =>
          `Found a federation relationship with trust domain ${trustDomain}:\n\n${federationText(relationship)}`,
      });
    },
  );
}
