/** `bundle set`: trusts another trust domain by the bundle given, or replaces the one held. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { bundleToProto } from '@bonafide/shared/rpc/codec/bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { printMessage } from '../print-message.js';
import { STANDARD_INPUT } from '../read-input.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import {
  bundleFormatOption,
  parseBundle,
  readBundleText,
  trustDomainOption,
  type BundleFormat,
} from './bundle-format.js';

interface SetFlags extends ServerFlags, WaitFlag {
  readonly id?: TrustDomain;
  readonly path: string;
  readonly format: BundleFormat;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.bundle.v1.Bundle';

export function bundleSet(command: Command, host: CommandHost): void {
  command
    .addOption(trustDomainOption('trust domain of the bundle'))
    .option('--path <file>', 'the bundle (default: standard input)', STANDARD_INPUT)
    .addOption(bundleFormatOption('what it is written in'))
    .addOption(waitOption())
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server bundle set --id other.example --path other.pem',
    'curl https://other.example/bundle | bonafide-server bundle set --id other.example --format spiffe',
  ]).action(async (flags: SetFlags) => {
    if (flags.id === undefined)
      throw invalidArgument('a trust domain is required; add --id, for example other.example');
    const text = await readBundleText(flags.path, host);
    const bundle = bundleToProto(parseBundle(flags.id, text, flags.format));
    await withServer(flags, host, async (server) => {
      const response = await server.call(SERVICE, 'batchSetFederatedBundle', { bundle: [bundle] });
      const failure = response.results.find(({ status }) => status?.code !== 0);
      await printAndWait(server, host, flags, (delivery) => {
        printMessage(host, flags.output, {
          service: SERVICE,
          name: 'spire.api.server.bundle.v1.BatchSetFederatedBundleResponse',
          message: response,
          delivery,
          pretty: () => (failure === undefined ? 'bundle set.\n' : ''),
        });
        if (failure !== undefined) {
          throw new BonafideError(
            'aborted',
            `failed to set federated bundle: ${failure.status?.message ?? ''}`,
          );
        }
      });
    });
  });
}
