/** `federation delete`: no longer fetches the bundle of a trust domain; the bundle that is held stays until `bundle delete`. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { trustDomainOption } from '../bundle/bundle-format.js';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface DeleteFlags extends ServerFlags {
  readonly id?: TrustDomain;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.trustdomain.v1.TrustDomain';

export function federationDelete(command: Command, host: CommandHost): void {
  command.addOption(trustDomainOption('trust domain of the relationship')).addOption(outputOption());
  addServerFlags(command);
  addExamples(command, ['bonafide-server federation delete --id other.example']).action(
    async ({ id, output, ...flags }: DeleteFlags) => {
      if (id === undefined) throw invalidArgument('id is required; add --id, for example other.example');
      const response = await withServer(flags, host, (server) =>
        server.call(SERVICE, 'batchDeleteFederationRelationship', { trustDomains: [id] }),
      );
      const failure = response.results.find(({ status }) => status?.code !== 0);
      printMessage(host, output, {
        service: SERVICE,
        name: 'spire.api.server.trustdomain.v1.BatchDeleteFederationRelationshipResponse',
        message: response,
        pretty: () => (failure === undefined ? 'federation relationship deleted.\n' : ''),
      });
      if (failure !== undefined) {
        throw new BonafideError(
          'aborted',
          `failed to delete federation relationship ${JSON.stringify(failure.trustDomain)}: ${failure.status?.message ?? ''}`,
        );
      }
    },
  );
}
