/** The command line of the OIDC discovery provider: every command, loaded only when it is the one that runs. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { completionCommands } from '@bonafide/shared/cli/completion/completion-commands';
import type { Program } from '@bonafide/shared/cli/program';
import { runProgram } from '@bonafide/shared/cli/run-program';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import { configCommands } from './config-commands.js';

export const oidcProgram: Program = {
  name: 'bonafide-oidc',
  summary: 'Publishes the keys of a trust domain the way OpenID Connect relying parties look for them',
  version: programVersion,
  examples: [
    'bonafide-oidc validate --config oidc.yaml',
    'bonafide-oidc run --config oidc.yaml',
    'curl https://oidc.example.org/.well-known/openid-configuration',
  ],
  defaultCommand: 'run',
  commands: [
    { path: 'run', summary: 'Runs the provider', load: async () => (await import('./run.js')).runCommand },
    {
      path: 'validate',
      summary: 'Checks a configuration file and tells every problem in it',
      load: async () => (await import('./validate.js')).validate,
    },
    ...configCommands,
    ...completionCommands(() => oidcProgram),
  ],
};

/** @param argv without node and the script. @returns the exit code. */
export function runOidcProgram(argv: readonly string[], host?: CommandHost): Promise<number> {
  return runProgram(oidcProgram, argv, host);
}
