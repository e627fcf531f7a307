/** `bundle count`: how many bundles the server holds, its own among them. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { outputOption, type OutputFormat } from '@bonafide/shared/cli/output';
import type { Command } from 'commander';
import { printMessage } from '../print-message.js';
import { counted } from '../printed-words.js';
import { withServer } from '../server-connection.js';
import { addServerFlags, type ServerFlags } from '../server-flags.js';

interface CountFlags extends ServerFlags {
  readonly output: OutputFormat;
}

const SERVICE = 'spire.api.server.bundle.v1.Bundle';

export function bundleCount(command: Command, host: CommandHost): void {
  addServerFlags(command.addOption(outputOption()));
  addExamples(command, ['bonafide-server bundle count']).action(async (flags: CountFlags) => {
    const response = await withServer(flags, host, (server) => server.call(SERVICE, 'countBundles', {}));
    printMessage(host, flags.output, {
      service: SERVICE,
      name: 'spire.api.server.bundle.v1.CountBundlesResponse',
      message: response,
      pretty: () => `${counted(response.count, 'bundle', 'bundles')}\n`,
    });
  });
}
