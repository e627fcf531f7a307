/** The command line of the server: every command, loaded only when it is the one that runs. */
import { createRequire } from 'node:module';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import type { Program } from '@bonafide/shared/cli/program';
import { runProgram } from '@bonafide/shared/cli/run-program';

export const serverProgram: Program = {
  name: 'bonafide-server',
  summary: 'Issues proven identities: the certificate and registration authority of a SPIFFE trust domain',
  version: () =>
    (createRequire(import.meta.url)('../../package.json') as { readonly version: string }).version,
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
    {
      path: 'healthcheck',
      summary: 'Tells whether the server is serving',
      load: async () => (await import('./healthcheck.js')).healthcheck,
    },
    {
      path: 'entry create',
      summary: 'Creates registration entries',
      load: async () => (await import('./entry/create.js')).entryCreate,
    },
    {
      path: 'entry update',
      summary: 'Replaces registration entries',
      load: async () => (await import('./entry/update.js')).entryUpdate,
    },
    {
      path: 'entry delete',
      summary: 'Deletes registration entries',
      load: async () => (await import('./entry/delete.js')).entryDelete,
    },
    {
      path: 'entry show',
      summary: 'Shows registration entries',
      load: async () => (await import('./entry/show.js')).entryShow,
    },
    {
      path: 'entry count',
      summary: 'Counts registration entries',
      load: async () => (await import('./entry/count.js')).entryCount,
    },
    {
      path: 'token generate',
      summary: 'Makes a join token for one agent',
      load: async () => (await import('./token/generate.js')).tokenGenerate,
    },
    {
      path: 'agent list',
      summary: 'Lists attested agents',
      load: async () => (await import('./agent/list.js')).agentList,
    },
    {
      path: 'agent show',
      summary: 'Shows one attested agent with its selectors',
      load: async () => (await import('./agent/show.js')).agentShow,
    },
    {
      path: 'agent count',
      summary: 'Counts attested agents',
      load: async () => (await import('./agent/count.js')).agentCount,
    },
    {
      path: 'agent ban',
      summary: 'Cuts an agent off until it is evicted',
      load: async () => (await import('./agent/ban.js')).agentBan,
    },
    {
      path: 'agent evict',
      summary: 'Forgets an agent; it may attest again',
      load: async () => (await import('./agent/evict.js')).agentEvict,
    },
    {
      path: 'agent purge',
      summary: 'Evicts agents whose SVID ended long ago',
      load: async () => (await import('./agent/purge.js')).agentPurge,
    },
    {
      path: 'bundle show',
      summary: 'Prints the bundle of the own trust domain',
      load: async () => (await import('./bundle/show.js')).bundleShow,
    },
    {
      path: 'bundle list',
      summary: 'Prints the bundles of federated trust domains',
      load: async () => (await import('./bundle/list.js')).bundleList,
    },
    {
      path: 'bundle set',
      summary: 'Creates or replaces the bundle of a federated trust domain',
      load: async () => (await import('./bundle/set.js')).bundleSet,
    },
    {
      path: 'bundle delete',
      summary: 'Deletes the bundle of a federated trust domain',
      load: async () => (await import('./bundle/delete.js')).bundleDelete,
    },
    {
      path: 'bundle count',
      summary: 'Counts bundles',
      load: async () => (await import('./bundle/count.js')).bundleCount,
    },
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
    {
      path: 'debug getinfo',
      summary: 'Prints what the server knows about itself',
      load: async () => (await import('./debug/getinfo.js')).debugGetInfo,
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
  ],
};

/** @param argv without node and the script. @returns the exit code. */
export function runServerProgram(argv: readonly string[], host?: CommandHost): Promise<number> {
  return runProgram(serverProgram, argv, host);
}
