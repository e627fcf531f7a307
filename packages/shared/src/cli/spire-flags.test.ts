import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gnuFlagName, translateSpireFlags } from './spire-flags.js';

/** Every flag of SPIRE's server and agent commands. */
const SPIRE_FLAGS: Readonly<Record<string, string>> = {
  admin: 'admin',
  allowUnauthenticatedVerifiers: 'allow-unauthenticated-verifiers',
  attestationType: 'attestation-type',
  audience: 'audience',
  authorityID: 'authority-id',
  banned: 'banned',
  bindAddress: 'bind-address',
  bundleEndpointProfile: 'bundle-endpoint-profile',
  bundleEndpointURL: 'bundle-endpoint-url',
  canReattest: 'can-reattest',
  config: 'config',
  data: 'data',
  dataDir: 'data-dir',
  disableSDSAPI: 'disable-sds-api',
  disableWorkloadAPI: 'disable-workload-api',
  disableX509SVIDPrefetch: 'disable-x509-svid-prefetch',
  dns: 'dns',
  downstream: 'downstream',
  dryRun: 'dry-run',
  endpointSpiffeID: 'endpoint-spiffe-id',
  entryExpiry: 'entry-expiry',
  entryID: 'entry-id',
  expandEnv: 'expand-env',
  expiredFor: 'expired-for',
  expiresBefore: 'expires-before',
  federatesWith: 'federates-with',
  file: 'file',
  format: 'format',
  hint: 'hint',
  id: 'id',
  insecureBootstrap: 'insecure-bootstrap',
  instance: 'instance',
  joinToken: 'join-token',
  joinTokenFile: 'join-token-file',
  jwtSVIDIncludeJTI: 'jwt-svid-include-jti',
  jwtSVIDTTL: 'jwt-svid-ttl',
  keyType: 'key-type',
  level: 'level',
  logFile: 'log-file',
  logFormat: 'log-format',
  logLevel: 'log-level',
  logSourceLocation: 'log-source-location',
  matchFederatesWithOn: 'match-federates-with-on',
  matchSelectorsOn: 'match-selectors-on',
  mode: 'mode',
  namedPipeName: 'named-pipe-name',
  node: 'node',
  output: 'output',
  parentID: 'parent-id',
  path: 'path',
  rebootstrapDelay: 'rebootstrap-delay',
  rebootstrapMode: 'rebootstrap-mode',
  selector: 'selector',
  serverAddress: 'server-address',
  serverPort: 'server-port',
  shallow: 'shallow',
  signingAlgorithm: 'signing-algorithm',
  silent: 'silent',
  socketPath: 'socket-path',
  spiffeID: 'spiffe-id',
  storeSVID: 'store-svid',
  subjectKeyID: 'subject-key-id',
  svid: 'svid',
  timeout: 'timeout',
  trustBundle: 'trust-bundle',
  trustBundleFormat: 'trust-bundle-format',
  trustBundleUrl: 'trust-bundle-url',
  trustDomain: 'trust-domain',
  trustDomainBundleFormat: 'trust-domain-bundle-format',
  trustDomainBundlePath: 'trust-domain-bundle-path',
  ttl: 'ttl',
  verbose: 'verbose',
  write: 'write',
  x509SVIDTTL: 'x509-svid-ttl',
};

describe('gnuFlagName', () => {
  it.each(Object.entries(SPIRE_FLAGS))('turns %s into %s', (spire, gnu) => {
    expect(gnuFlagName(spire)).toBe(gnu);
  });
});

describe('translateSpireFlags', () => {
  it.each(Object.entries(SPIRE_FLAGS))(
    'accepts -%s with one dash, two dashes and an equals sign',
    (spire, gnu) => {
      expect(translateSpireFlags([`-${spire}`, 'x'])).toEqual([`--${gnu}`, 'x']);
      expect(translateSpireFlags([`--${spire}`, 'x'])).toEqual([`--${gnu}`, 'x']);
      expect(translateSpireFlags([`-${spire}=a=b`])).toEqual([`--${gnu}=a=b`]);
      expect(translateSpireFlags([`--${gnu}`, 'x'])).toEqual([`--${gnu}`, 'x']);
    },
  );

  it.each([
    [['-h'], ['-h']],
    [
      ['-v', 'entry', 'create'],
      ['-v', 'entry', 'create'],
    ],
    [['-'], ['-']],
    [['-1'], ['-1']],
    [
      ['-data', '-'],
      ['--data', '-'],
    ],
    [
      ['spiffe://example.org/camelCase', 'unix:userID'],
      ['spiffe://example.org/camelCase', 'unix:userID'],
    ],
    [['-selector=unix:path:/a\nb'], ['--selector=unix:path:/a\nb']],
    [
      ['-ttl', '5', '--', '-spiffeID'],
      ['--ttl', '5', '--', '-spiffeID'],
    ],
  ])('leaves what is no SPIRE flag: %j', (argv, expected) => {
    expect(translateSpireFlags(argv)).toEqual(expected);
  });

  it('leaves a value that looks like a flag when the flag before it takes one', () => {
    const takesValue = (name: string): boolean => name === 'hint';
    expect(translateSpireFlags(['-hint', '-someID', '-spiffeID', 'x'], takesValue)).toEqual([
      '--hint',
      '-someID',
      '--spiffe-id',
      'x',
    ]);
    expect(translateSpireFlags(['--hint', '--', '-entryID'], takesValue)).toEqual([
      '--hint',
      '--',
      '--entry-id',
    ]);
    expect(translateSpireFlags(['-hint=a', '-entryID'], takesValue)).toEqual(['--hint=a', '--entry-id']);
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string(),
            fc.constantFrom(...Object.keys(SPIRE_FLAGS)).map((f) => `-${f}`),
          ),
        ),
        (argv) => {
          const once = translateSpireFlags(argv);
          expect(translateSpireFlags(once)).toEqual(once);
          expect(once).toHaveLength(argv.length);
        },
      ),
    );
  });
});
