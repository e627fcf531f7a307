/** `validate`: tells every problem of a configuration file, without starting anything. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import { addConfigFlags, loadServerConfig, type ConfigFlags } from './config-flags.js';

export function validate(command: Command, host: CommandHost): void {
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-server validate --config conf/server/server.yaml',
    'bonafide-server validate --config server.yaml --expand-env',
  ]).action(async (flags: ConfigFlags) => {
    try {
      await loadServerConfig(flags, host);
    } catch (error) {
      throw new BonafideError(
        'invalid_argument',
        `Bonafide server configuration file is invalid: ${errorMessage(error)}`,
        { cause: error },
      );
    }
    host.stdout.write('Bonafide server configuration file is valid.\n');
  });
}
