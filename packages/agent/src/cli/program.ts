/** The command line of the agent: every command, loaded only when it is the one that runs. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { completionCommands } from '@bonafide/shared/cli/completion/completion-commands';
import type { Program } from '@bonafide/shared/cli/program';
import { runProgram } from '@bonafide/shared/cli/run-program';
import { configCommands } from './config-commands.js';
import { programVersion } from '@bonafide/shared/runtime/program-version';

export const agentProgram: Program = {
  name: 'bonafide-agent',
  summary: 'Delivers proven identities to the processes of this node over the SPIFFE Workload API',
  version: programVersion,
  examples: [
    'bonafide-agent run --config conf/agent/agent.yaml --join-token TOKEN',
    'bonafide-agent healthcheck',
    'bonafide-agent explain --pid 4242',
    'bonafide-agent api fetch x509 --write /tmp/svids',
    'bonafide-agent api watch',
  ],
  commands: [
    { path: 'run', summary: 'Runs the agent', load: async () => (await import('./run.js')).run },
    {
      path: 'validate',
      summary: 'Checks a configuration file and tells every problem in it',
      load: async () => (await import('./validate.js')).validate,
    },
    ...configCommands,
    {
      path: 'healthcheck',
      summary: 'Tells whether the agent is serving',
      load: async () => (await import('./healthcheck.js')).healthcheck,
    },
    {
      path: 'helper',
      summary: 'Keeps identities in files, for programs that only read files, and tells them of changes',
      load: async () => (await import('./helper/helper.js')).helper,
    },
    {
      path: 'explain',
      summary: 'Tells why a process has the identity that it has, or none',
      load: async () => (await import('./explain/explain.js')).explain,
    },
    {
      path: 'survival',
      summary: 'Tells when each workload stops working if the server stays away from now on',
      load: async () => (await import('./survival.js')).survival,
    },
    {
      path: 'debug getinfo',
      summary: 'Prints what the agent holds, and its own SVID',
      load: async () => (await import('./debug/getinfo.js')).debugGetInfo,
    },
    {
      path: 'debug snapshot',
      summary: 'Writes what the agent knows of itself to a file, for whoever looks for a fault',
      load: async () => (await import('./debug/snapshot.js')).debugSnapshot,
    },
    {
      path: 'logger get',
      summary: 'Prints the log level of the agent',
      load: async () => (await import('./logger/logger.js')).loggerGet,
    },
    {
      path: 'logger set',
      summary: 'Sets the log level of the agent until it ends, or until it is reset',
      load: async () => (await import('./logger/logger.js')).loggerSet,
    },
    {
      path: 'logger reset',
      summary: 'Resets the log level of the agent to that with which it started',
      load: async () => (await import('./logger/logger.js')).loggerReset,
    },
    {
      path: 'tpm info',
      summary: 'Tells what this machine would prove by its TPM',
      load: async () => (await import('./tpm/tpm-info.js')).tpmInfo,
    },
    {
      path: 'api fetch',
      summary: 'The same as api fetch x509',
      load: async () => (await import('./api/fetch-x509.js')).fetchX509,
    },
    {
      path: 'api fetch x509',
      summary: 'Fetches the X.509-SVIDs of the calling process from the Workload API',
      load: async () => (await import('./api/fetch-x509.js')).fetchX509,
    },
    {
      path: 'api fetch jwt',
      summary: 'Fetches JWT-SVIDs of the calling process from the Workload API',
      load: async () => (await import('./api/fetch-jwt.js')).fetchJwt,
    },
    {
      path: 'api fetch wit',
      summary: 'Fetches WIT-SVIDs of the calling process from the Workload API',
      load: async () => (await import('./api/fetch-wit.js')).fetchWit,
    },
    {
      path: 'api validate jwt',
      summary: 'Has the agent validate a JWT-SVID',
      load: async () => (await import('./api/validate-jwt.js')).validateJwt,
    },
    {
      path: 'api watch',
      summary: 'Prints the X.509-SVIDs of the calling process at every change',
      load: async () => (await import('./api/watch.js')).watch,
    },
    ...completionCommands(() => agentProgram),
  ],
};

/** @param argv without node and the script. @returns the exit code. */
export function runAgentProgram(argv: readonly string[], host?: CommandHost): Promise<number> {
  return runProgram(agentProgram, argv, host);
}
