/** `bundle append`: publishes authorities of others of the same trust domain in the bundle of the server, SPIRE's or ours. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { bundleFromProto, bundleToProto } from '@bonafide/shared/rpc/codec/bundle';
import type { Command } from 'commander';
import { printAndWait } from '../delivery/print-and-wait.js';
import { waitOption, type WaitFlag } from '../delivery/wait-flag.js';
import { printMessage } from '../print-message.js';
import { STANDARD_INPUT } from '../read-input.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { bundleFormatOption, parseBundle, readBundleText, type BundleFormat } from './bundle-format.js';

interface AppendFlags extends ServerFlags, WaitFlag {
  readonly path: string;
  readonly format: BundleFormat;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.bundle.v1.Bundle';

export function bundleAppend(command: Command, host: CommandHost): void {
  command
    .option('--path <file>', 'a bundle with the authorities (default: standard input)', STANDARD_INPUT)
    .addOption(bundleFormatOption('what it is written in'))
    .addOption(waitOption())
    .addOption(outputOption());
  addServerFlags(command);
  addExamples(command, [
    'bonafide-server bundle append --path other-server.pem',
    'bonafide-server bundle show --format spiffe | bonafide-server bundle append --format spiffe --socket-path /tmp/spire-server/private/api.sock',
  ]).action(async (flags: AppendFlags) => {
    const text = await readBundleText(flags.path, host);
    await withServer(flags, host, async (server) => {
      const { trustDomain } = bundleFromProto(await server.call(SERVICE, 'getBundle', {}));
      const more = parseBundle(trustDomain, text, flags.format);
      const { x509Authorities = [], jwtAuthorities = [], witAuthorities = [] } = bundleToProto(more);
      const count = more.x509Authorities.length + more.jwtAuthorities.length + more.witAuthorities.length;
      if (count === 0) throw invalidArgument('the bundle has no authority; expected one at least');
      const response = await server.call(SERVICE, 'appendBundle', {
        x509Authorities,
        jwtAuthorities,
        witAuthorities,
      });
      await printAndWait(server, host, flags, (delivery) => {
        printMessage(host, flags.output, {
          service: SERVICE,
          name: 'spire.api.types.Bundle',
          message: response,
          delivery,
          pretty: () => 'bundle appended.\n',
        });
      });
    });
  });
}
