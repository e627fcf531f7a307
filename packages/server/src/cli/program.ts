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
      path: 'agent prove',
      summary: 'Has an agent prove its node now',
      load: async () => (await import('./agent/prove.js')).agentProve,
    },
    {
      path: 'agent quarantine',
      summary: 'Withdraws all that an agent holds until it is released',
      load: async () => (await import('./agent/quarantine.js')).agentQuarantine,
    },
    {
      path: 'agent release',
      summary: 'Ends the quarantine of an agent',
      load: async () => (await import('./agent/release.js')).agentRelease,
    },
    {
      path: 'agent pending',
      summary: 'Lists nodes that wait to be let in',
      load: async () => (await import('./agent/pending.js')).agentPending,
    },
    {
      path: 'agent approve',
      summary: 'Lets a node in that waits for it',
      load: async () => (await import('./agent/decide.js')).agentDecide('approve'),
    },
    {
      path: 'agent deny',
      summary: 'Keeps a node out that asks to be let in',
      load: async () => (await import('./agent/decide.js')).agentDecide('deny'),
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
      path: 'tpm enroll',
      summary: 'Lets the machine with a TPM attest',
      load: async () => (await import('./tpm/enroll.js')).tpmEnroll,
    },
    {
      path: 'tpm list',
      summary: 'Lists the TPMs that were enrolled',
      load: async () => (await import('./tpm/list.js')).tpmList,
    },
    {
      path: 'tpm remove',
      summary: 'Takes a TPM out and bans its agent',
      load: async () => (await import('./tpm/remove.js')).tpmRemove,
    },
    {
      path: 'tpm replace',
      summary: 'Puts one TPM in the place of another',
      load: async () => (await import('./tpm/replace.js')).tpmReplace,
    },
    {
      path: 'tpm rekey',
      summary: 'Forgets which attestation key a TPM had',
      load: async () => (await import('./tpm/rekey.js')).tpmRekey,
    },
    {
      path: 'tpm baseline',
      summary: 'Prints what a node showed last as a golden set',
      load: async () => (await import('./tpm/baseline.js')).tpmBaseline,
    },
    {
      path: 'federation create',
      summary: 'Federates with a trust domain: its bundle is fetched from then on',
      load: async () => (await import('./federation/create.js')).federationCreate,
    },
    {
      path: 'federation update',
      summary: 'Replaces federation relationships',
      load: async () => (await import('./federation/update.js')).federationUpdate,
    },
    {
      path: 'federation delete',
      summary: 'Ends a federation relationship',
      load: async () => (await import('./federation/delete.js')).federationDelete,
    },
    {
      path: 'federation list',
      summary: 'Lists federation relationships',
      load: async () => (await import('./federation/list.js')).federationList,
    },
    {
      path: 'federation show',
      summary: 'Shows one federation relationship',
      load: async () => (await import('./federation/show.js')).federationShow,
    },
    {
      path: 'federation refresh',
      summary: "Fetches a federated trust domain's bundle now",
      load: async () => (await import('./federation/refresh.js')).federationRefresh,
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
      path: 'localauthority x509 show',
      summary: 'Shows the X.509 authorities: the active, the prepared and the last old one',
      load: async () => (await import('./localauthority/show.js')).authorityShow('x509'),
    },
    {
      path: 'localauthority x509 prepare',
      summary: 'Makes and publishes a new X.509 authority',
      load: async () => (await import('./localauthority/change.js')).authorityChange('x509', 'prepare'),
    },
    {
      path: 'localauthority x509 activate',
      summary: 'Lets the prepared X.509 authority sign',
      load: async () => (await import('./localauthority/change.js')).authorityChange('x509', 'activate'),
    },
    {
      path: 'localauthority x509 taint',
      summary: 'Marks an old X.509 authority, so that all it signed is replaced',
      load: async () => (await import('./localauthority/change.js')).authorityChange('x509', 'taint'),
    },
    {
      path: 'localauthority x509 revoke',
      summary: 'Removes a tainted X.509 authority from the bundle',
      load: async () => (await import('./localauthority/change.js')).authorityChange('x509', 'revoke'),
    },
    {
      path: 'localauthority jwt show',
      summary: 'Shows the JWT authorities: the active, the prepared and the last old one',
      load: async () => (await import('./localauthority/show.js')).authorityShow('jwt'),
    },
    {
      path: 'localauthority jwt prepare',
      summary: 'Makes and publishes a new JWT authority',
      load: async () => (await import('./localauthority/change.js')).authorityChange('jwt', 'prepare'),
    },
    {
      path: 'localauthority jwt activate',
      summary: 'Lets the prepared JWT authority sign',
      load: async () => (await import('./localauthority/change.js')).authorityChange('jwt', 'activate'),
    },
    {
      path: 'localauthority jwt taint',
      summary: 'Marks an old JWT authority, so that all it signed is replaced',
      load: async () => (await import('./localauthority/change.js')).authorityChange('jwt', 'taint'),
    },
    {
      path: 'localauthority jwt revoke',
      summary: 'Removes a tainted JWT authority from the bundle',
      load: async () => (await import('./localauthority/change.js')).authorityChange('jwt', 'revoke'),
    },
    {
      path: 'localauthority wit show',
      summary: 'Shows the WIT authorities: the active, the prepared and the last old one',
      load: async () => (await import('./localauthority/show.js')).authorityShow('wit'),
    },
    {
      path: 'localauthority wit prepare',
      summary: 'Makes and publishes a new WIT authority',
      load: async () => (await import('./localauthority/change.js')).authorityChange('wit', 'prepare'),
    },
    {
      path: 'localauthority wit activate',
      summary: 'Lets the prepared WIT authority sign',
      load: async () => (await import('./localauthority/change.js')).authorityChange('wit', 'activate'),
    },
    {
      path: 'localauthority wit taint',
      summary: 'Marks an old WIT authority, so that all it signed is replaced',
      load: async () => (await import('./localauthority/change.js')).authorityChange('wit', 'taint'),
    },
    {
      path: 'localauthority wit revoke',
      summary: 'Removes a tainted WIT authority from the bundle',
      load: async () => (await import('./localauthority/change.js')).authorityChange('wit', 'revoke'),
    },
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
