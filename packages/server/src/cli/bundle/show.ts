/** `bundle show`: the bundle of the server's own trust domain, with which agents are bootstrapped and others federate. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';
import { bundleFormatOption, bundleText, type BundleFormat } from './bundle-format.js';

interface ShowFlags extends ServerFlags {
  readonly format: BundleFormat;
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.bundle.v1.Bundle';

export function bundleShow(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(bundleFormatOption('how to print it')).addOption(outputOption()));
  addExamples(command, [
    'bonafide-server bundle show > bundle.pem',
    'bonafide-server bundle show --format spiffe > bundle.json',
  ]).action(async (flags: ShowFlags) => {
    const bundle = await withServer(flags, host, (server) => server.call(SERVICE, 'getBundle', {}));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.types.Bundle',
      message: bundle,
      pretty: () => bundleText(bundle, flags.format),
    });
  });
}
