/** `bundle delete`: stops trusting another trust domain. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples, oneOf, valueOption } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { trustDomainOption } from './bundle-format.js';

const MODES = { restrict: 'RESTRICT', delete: 'DELETE', dissociate: 'DISSOCIATE' } as const;

interface DeleteFlags extends ServerFlags, WaitFlag {
  readonly id?: TrustDomain;
  readonly mode: keyof typeof MODES;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.bundle.v1.Bundle';

export function bundleDelete(command: Command, host: CommandHost): void {
  const modeText =
    'what becomes of entries that federate with it: restrict (refuse while there are any), delete (delete them), dissociate (keep them without it)';
  command
    .addOption(trustDomainOption('trust domain of the bundle'))
    .addOption(
      valueOption('--mode <mode>', modeText, oneOf('restrict', 'delete', 'dissociate')).default('restrict'),
    )
    .addOption(waitOption())
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server bundle delete --id other.example',
    'bonafide-server bundle delete --id other.example --mode dissociate',
  ]).action(async (flags: DeleteFlags) => {
    if (flags.id === undefined)
      throw invalidArgument('a trust domain is required; add --id, for example other.example');
    const request = { trustDomains: [flags.id], mode: MODES[flags.mode] };
    await withServer(flags, host, async (server) => {
      const response = await server.call(SERVICE, 'batchDeleteFederatedBundle', request);
      const failure = response.results.find(({ status }) => status?.code !== 0);
      await printAndWait(server, host, flags, (delivery) => {
        printMessage(host, flags.output, {
          service: SERVICE,
          name: 'spire.api.server.bundle.v1.BatchDeleteFederatedBundleResponse',
          message: response,
          delivery,
          pretty: () => (failure === undefined ? 'bundle deleted.\n' : ''),
        });
        if (failure !== undefined) {
          throw new BonafideError(
            'aborted',
            `failed to delete federated bundle ${JSON.stringify(failure.trustDomain)}: ${failure.status?.message ?? ''}`,
          );
        }
      });
    });
  });
}
