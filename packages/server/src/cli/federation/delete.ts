/** `federation delete`: no longer fetches the bundle of a trust domain; the bundle that is held stays until `bundle delete`. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { trustDomainOption } from '../bundle/bundle-format.js';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface DeleteFlags extends ServerFlags, WaitFlag {
  readonly id?: TrustDomain;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.trustdomain.v1.TrustDomain';

export function federationDelete(command: Command, host: CommandHost): void {
  command
    .addOption(trustDomainOption('trust domain of the relationship'))
    .addOption(waitOption())
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, ['bonafide-server federation delete --id other.example']).action(
    async (flags: DeleteFlags) => {
      const { id, output } = flags;
      if (id === undefined) throw invalidArgument('id is required; add --id, for example other.example');
      await withServer(flags, host, async (server) => {
        const request = { trustDomains: [id] };
        const response = await server.call(SERVICE, 'batchDeleteFederationRelationship', request);
        const failure = response.results.find(({ status }) => status?.code !== 0);
        await printAndWait(server, host, flags, (delivery) => {
          printMessage(host, output, {
            service: SERVICE,
            name: 'spire.api.server.trustdomain.v1.BatchDeleteFederationRelationshipResponse',
            message: response,
            delivery,
            pretty: () => (failure === undefined ? 'federation relationship deleted.\n' : ''),
          });
          if (failure !== undefined) {
            throw new BonafideError(
              'aborted',
              `failed to delete federation relationship ${JSON.stringify(failure.trustDomain)}: ${failure.status?.message ?? ''}`,
            );
          }
        });
      });
    },
  );
}
