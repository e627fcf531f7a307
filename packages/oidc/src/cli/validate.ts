/** `validate`: tells every problem of a configuration file, without starting anything. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { addExamples } from '@bonafide/shared/cli/option-values';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';
import { addConfigFlags, loadOidcConfig, type ConfigFlags } from './config-flags.js';

export function validate(command: Command, host: CommandHost): void {
  addConfigFlags(command);
  addExamples(command, [
    'bonafide-oidc validate --config oidc.yaml',
    'bonafide-oidc validate --config oidc.yaml --expand-env',
  ]).action(async (flags: ConfigFlags) => {
    try {
      await loadOidcConfig(flags, host);
    } catch (error) {
      throw invalidArgument(`Bonafide OIDC configuration file is invalid: ${errorMessage(error)}`, error);
    }
    host.stdout.write('Bonafide OIDC configuration file is valid.\n');
  });
}
