import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { loadCommand } from '@bonafide/shared/cli/run-program';
import { describe, expect, it } from 'vitest';
import { runServerProgram, serverProgram } from './program.js';

/** The flags of SPIRE's commands that ours have too, in SPIRE's spelling. */
const SPIRE_FLAGS: Readonly<Record<string, readonly string[]>> = {
  run: [
    'bindAddress',
    'config',
    'dataDir',
    'expandEnv',
    'logFile',
    'logFormat',
    'logLevel',
    'serverPort',
    'socketPath',
    'trustDomain',
  ],
  validate: ['config', 'expandEnv'],
  healthcheck: ['shallow', 'verbose'],
  'localauthority x509 show': ['output'],
  'localauthority x509 prepare': ['output'],
  'localauthority x509 activate': ['authorityID', 'output'],
  'localauthority x509 taint': ['authorityID', 'output'],
  'localauthority x509 revoke': ['authorityID', 'output'],
  'localauthority jwt show': ['output'],
  'localauthority jwt prepare': ['output'],
  'localauthority jwt activate': ['authorityID', 'output'],
  'localauthority jwt taint': ['authorityID', 'output'],
  'localauthority jwt revoke': ['authorityID', 'output'],
  'localauthority wit show': ['output'],
  'localauthority wit prepare': ['output'],
  'localauthority wit activate': ['authorityID', 'output'],
  'localauthority wit taint': ['authorityID', 'output'],
  'localauthority wit revoke': ['authorityID', 'output'],
  'upstreamauthority taint': ['subjectKeyID', 'output'],
  'upstreamauthority revoke': ['subjectKeyID', 'output'],
  'federation create': [
    'bundleEndpointProfile',
    'bundleEndpointURL',
    'data',
    'endpointSpiffeID',
    'output',
    'trustDomain',
    'trustDomainBundleFormat',
    'trustDomainBundlePath',
  ],
  'federation update': [
    'bundleEndpointProfile',
    'bundleEndpointURL',
    'data',
    'endpointSpiffeID',
    'output',
    'trustDomain',
    'trustDomainBundleFormat',
    'trustDomainBundlePath',
  ],
  'federation delete': ['id', 'output'],
  'federation list': ['output'],
  'federation show': ['output', 'trustDomain'],
  'federation refresh': ['id', 'output'],
  'entry create': [
    'admin',
    'data',
    'disableX509SVIDPrefetch',
    'dns',
    'downstream',
    'entryExpiry',
    'entryID',
    'federatesWith',
    'hint',
    'jwtSVIDIncludeJTI',
    'jwtSVIDTTL',
    'node',
    'parentID',
    'selector',
    'spiffeID',
    'storeSVID',
    'x509SVIDTTL',
    'output',
  ],
  'entry update': [
    'admin',
    'data',
    'disableX509SVIDPrefetch',
    'dns',
    'downstream',
    'entryExpiry',
    'entryID',
    'federatesWith',
    'hint',
    'jwtSVIDIncludeJTI',
    'jwtSVIDTTL',
    'parentID',
    'selector',
    'spiffeID',
    'storeSVID',
    'x509SVIDTTL',
    'output',
  ],
  'entry delete': ['entryID', 'file', 'output'],
  'entry show': [
    'downstream',
    'entryID',
    'federatesWith',
    'hint',
    'matchFederatesWithOn',
    'matchSelectorsOn',
    'parentID',
    'selector',
    'spiffeID',
    'output',
  ],
  'entry count': [
    'downstream',
    'federatesWith',
    'hint',
    'matchFederatesWithOn',
    'matchSelectorsOn',
    'parentID',
    'selector',
    'spiffeID',
    'output',
  ],
  'token generate': ['spiffeID', 'ttl', 'output'],
  'agent list': [
    'attestationType',
    'banned',
    'canReattest',
    'expiresBefore',
    'matchSelectorsOn',
    'selector',
    'output',
  ],
  'agent show': ['spiffeID', 'output'],
  'agent count': [
    'attestationType',
    'banned',
    'canReattest',
    'expiresBefore',
    'matchSelectorsOn',
    'selector',
    'output',
  ],
  'agent ban': ['spiffeID', 'output'],
  // Of our own.
  'agent prove': ['output'],
  'agent quarantine': ['output'],
  'agent release': ['output'],
  'agent pending': ['output'],
  'agent approve': ['output'],
  'agent deny': ['output'],
  'agent evict': ['spiffeID', 'output'],
  'agent purge': ['dryRun', 'expiredFor', 'output'],
  // What SPIRE has no command for.
  'tpm enroll': ['output'],
  'tpm list': ['output'],
  'tpm remove': ['output'],
  'tpm replace': ['output'],
  'tpm rekey': ['output'],
  'tpm baseline': ['output'],
  'bundle show': ['format', 'output'],
  'bundle list': ['format', 'id', 'output'],
  'bundle set': ['format', 'id', 'path', 'output'],
  'bundle delete': ['id', 'mode', 'output'],
  'bundle count': ['output'],
  'x509 mint': ['dns', 'spiffeID', 'ttl', 'write', 'output'],
  'jwt mint': ['audience', 'spiffeID', 'ttl', 'write', 'output'],
  'wit mint': ['keyType', 'signingAlgorithm', 'spiffeID', 'ttl', 'write', 'output'],
  'debug getinfo': ['output'],
  'logger get': ['output'],
  'logger set': ['level', 'output'],
  'logger reset': ['output'],
};

const LOCAL = new Set(['run', 'validate']);

describe('the commands of the server', () => {
  it('are those of the table', () => {
    expect(serverProgram.commands.map(({ path }) => path).toSorted()).toEqual(
      Object.keys(SPIRE_FLAGS).toSorted(),
    );
  });

  it.each(serverProgram.commands.map((listed) => [listed.path, listed] as const))(
    '%s has the flags of SPIRE',
    async (path, listed) => {
      const { gnuFlagName } = await import('@bonafide/shared/cli/spire-flags');
      const command = await loadCommand(serverProgram, listed, createRecordedHost());
      const flags = new Set(command.options.map(({ long }) => long));
      const wanted = [...(SPIRE_FLAGS[path] ?? []), ...(LOCAL.has(path) ? [] : ['socketPath', 'instance'])];
      for (const flag of wanted) expect(flags, flag).toContain(`--${gnuFlagName(flag)}`);
    },
  );

  it.each(serverProgram.commands.map(({ path }) => path))(
    '%s has help with examples that its own flags accept',
    async (path) => {
      const host = createRecordedHost();
      expect(await runServerProgram([...path.split(' '), '--help'], host)).toBe(0);
      expect(host.printed.stderr).toBe('');
      expect(host.printed.stdout).toMatch(/^Usage: bonafide-server /);
      const [, examples = ''] = host.printed.stdout.split('Examples:\n');
      const lines = examples
        .trimEnd()
        .split('\n')
        .filter((line) => line.includes('bonafide-server'));
      expect(lines.length).toBeGreaterThan(0);
      const listed = serverProgram.commands.find((command) => command.path === path);
      if (listed === undefined) throw new Error('listed above');
      const command = await loadCommand(serverProgram, listed, createRecordedHost());
      for (const line of lines) {
        expect(line).toContain(`bonafide-server ${path}`);
        for (const [flag] of line.matchAll(/ --[a-z0-9-]+/g)) {
          expect(
            command.options.map(({ long }) => long),
            line,
          ).toContain(flag.trim());
        }
      }
    },
  );

  it('lists every command and group in the help of the program', async () => {
    const host = createRecordedHost();
    expect(await runServerProgram(['--help'], host)).toBe(0);
    for (const { path, summary } of serverProgram.commands) {
      expect(host.printed.stdout).toContain(path);
      expect(host.printed.stdout).toContain(summary);
    }
  });

  it('knows its version', async () => {
    const host = createRecordedHost();
    expect(await runServerProgram(['--version'], host)).toBe(0);
    expect(host.printed.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
