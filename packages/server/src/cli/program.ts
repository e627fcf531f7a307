/** The command line of the server: every command, loaded only when it is the one that runs. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { completionCommands } from '@bonafide/shared/cli/completion/completion-commands';
import type { Program } from '@bonafide/shared/cli/program';
import { runProgram } from '@bonafide/shared/cli/run-program';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import { configCommands } from './config-commands.js';
import { agentCommands } from './agent/commands.js';
import { auditCommands } from './audit/commands.js';
import { bundleCommands } from './bundle/commands.js';
import { entryCommands } from './entry/commands.js';
import { federationCommands } from './federation/commands.js';
import { localauthorityCommands } from './localauthority/commands.js';
import { tpmCommands } from './tpm/commands.js';

export const serverProgram: Program = {
  name: 'bonafide-server',
  summary: 'Issues proven identities: the certificate and registration authority of a SPIFFE trust domain',
  version: programVersion,
  examples: [
    'bonafide-server run --config conf/server/server.yaml',
    'bonafide-server token generate --spiffe-id spiffe://example.org/my-node',
    'bonafide-server entry create --parent-id spiffe://example.org/my-node --spiffe-id spiffe://example.org/web --selector unix:uid:1000',
    'bonafide-server entry show',
  ],
  commands: [
    {
      path: 'run',
      summary: 'Runs the server',
      load: async () => (await import('./run.js')).runCommand,
    },
    {
      path: 'validate',
      summary: 'Checks a configuration file and tells every problem in it',
      load: async () => (await import('./validate.js')).validate,
    },
    ...configCommands,
    {
      path: 'healthcheck',
      summary: 'Tells whether the server is serving',
      load: async () => (await import('./healthcheck.js')).healthcheck,
    },
    ...entryCommands,
    {
      path: 'token generate',
      summary: 'Makes a join token for one agent',
      load: async () => (await import('./token/generate.js')).tokenGenerate,
    },
    ...agentCommands,
    ...bundleCommands,
    ...tpmCommands,
    ...federationCommands,
    {
      path: 'x509 mint',
      summary: 'Mints an X.509-SVID with a new key',
      load: async () => (await import('./x509/mint.js')).x509Mint,
    },
    {
      path: 'jwt mint',
      summary: 'Mints a JWT-SVID',
      load: async () => (await import('./jwt/mint.js')).jwtMint,
    },
    {
      path: 'wit mint',
      summary: 'Mints a WIT-SVID with a new key',
      load: async () => (await import('./wit/mint.js')).witMint,
    },
    ...localauthorityCommands,
    ...auditCommands,
    {
      path: 'upstreamauthority taint',
      summary: 'Marks a root above this server, so that all under it is replaced',
      load: async () => (await import('./upstreamauthority/withdraw.js')).upstreamWithdraw('taint'),
    },
    {
      path: 'upstreamauthority revoke',
      summary: 'Removes a tainted root above this server from the bundle',
      load: async () => (await import('./upstreamauthority/withdraw.js')).upstreamWithdraw('revoke'),
    },
    {
      path: 'access list',
      summary: 'Lists the roles of teams that share the trust domain',
      load: async () => (await import('./access/list.js')).accessList,
    },
    {
      path: 'access explain',
      summary: 'Tells who somebody is to the server, what they may do, and why',
      load: async () => (await import('./access/explain.js')).accessExplain,
    },
    {
      path: 'backup',
      summary: 'Copies the database, and the keys when asked, into one file while the server runs',
      load: async () => (await import('./backup/create.js')).backupCreate,
    },
    {
      path: 'backup verify',
      summary: 'Tells whether a backup is whole',
      load: async () => (await import('./backup/verify.js')).backupVerify,
    },
    {
      path: 'restore',
      summary: 'Brings a backup back while no server runs',
      load: async () => (await import('./backup/restore.js')).restore,
    },
    {
      path: 'import spire',
      summary: 'Takes a SPIRE server over: its entries, agents, bundles and authorities',
      load: async () => (await import('./import/spire.js')).importSpire,
    },
    {
      path: 'shadow',
      summary: 'Tells where a SPIRE server that runs and this one would decide differently',
      load: async () => (await import('./shadow/shadow.js')).shadow,
    },
    {
      path: 'debug getinfo',
      summary: 'Prints what the server knows about itself',
      load: async () => (await import('./debug/getinfo.js')).debugGetInfo,
    },
    {
      path: 'debug snapshot',
      summary: 'Writes what the server knows of itself to a file, for whoever looks for a fault',
      load: async () => (await import('./debug/snapshot.js')).debugSnapshot,
    },
    {
      path: 'logger get',
      summary: 'Prints the log level',
      load: async () => (await import('./logger/get.js')).loggerGet,
    },
    {
      path: 'logger set',
      summary: 'Changes the log level of the running server',
      load: async () => (await import('./logger/set.js')).loggerSet,
    },
    {
      path: 'logger reset',
      summary: 'Goes back to the log level of the start',
      load: async () => (await import('./logger/reset.js')).loggerReset,
    },
    ...completionCommands(() => serverProgram),
  ],
};

/** @param argv without node and the script. @returns the exit code. */
export function runServerProgram(argv: readonly string[], host?: CommandHost): Promise<number> {
  return runProgram(serverProgram, argv, host);
}
