/** The import rules of ARCHITECTURE.md, checked by `npm run check:imports`. */
const tests = '\\.test\\.ts$';
/** What tests of one room share; not part of the program. */
const testFixtures = '(/(store|tpm)-fixtures|-samples)\\.ts$';

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'shared-imports-no-program',
      severity: 'error',
      from: { path: '^packages/shared/', pathNot: tests },
      to: { path: '^packages/(server|agent|sdk|oidc|testing)/' },
    },
    {
      name: 'server-agent-sdk-oidc-import-only-shared',
      comment: 'server, agent, sdk and oidc know shared and themselves, never each other',
      severity: 'error',
      from: { path: '^packages/(server|agent|sdk|oidc)/', pathNot: [tests, testFixtures] },
      to: { path: '^packages/(server|agent|sdk|oidc|testing)/', pathNot: '^packages/$1/' },
    },
    {
      name: 'fixtures-are-for-tests',
      severity: 'error',
      from: { pathNot: [tests, testFixtures, '^test/'] },
      to: { path: testFixtures },
    },
    {
      name: 'testing-imports-only-shared',
      severity: 'error',
      from: { path: '^packages/testing/' },
      to: { path: '^packages/(server|agent|sdk|oidc)/' },
    },
    {
      name: 'only-crypto-knows-the-x509-library',
      severity: 'error',
      from: { pathNot: ['^packages/shared/src/crypto/', tests, '^test/'] },
      to: { path: 'node_modules/@peculiar/' },
    },
    {
      name: 'generated-types-stay-at-the-edge',
      comment: 'generated protobuf types are for codecs, api rooms, command lines and stream clients',
      severity: 'error',
      from: {
        path: '^packages/',
        pathNot: [
          '^packages/shared/src/rpc/',
          '^packages/shared/src/cli/',
          '^packages/server/src/(api|access|cli)/',
          '^packages/server/src/authority/upstream/spire/',
          '^packages/agent/src/(endpoints|workload-api|sds|delegated-identity|broker|cli|sync|node-attestation|agent-identity)/',
          '^packages/sdk/src/',
          '^packages/testing/',
          tests,
        ],
      },
      to: { path: '^packages/shared/src/rpc/gen/' },
    },
    {
      name: 'only-wiring-constructs',
      comment: 'rooms receive what they need; the wiring is imported by the command line and by tests alone',
      severity: 'error',
      from: {
        path: '^packages/(server|agent|oidc)/src/',
        pathNot: ['^packages/(server|agent|oidc)/src/(cli|wiring)/', tests],
      },
      to: { path: '^packages/(server|agent|oidc)/src/wiring(\\.ts$|/)' },
    },
    {
      name: 'only-the-store-speaks-sql',
      severity: 'error',
      from: { path: '^packages/', pathNot: ['^packages/server/src/store/', tests] },
      to: { path: 'node_modules/(kysely|better-sqlite3(-node-api)?|pg)/' },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    exclude: { path: ['/dist/', '/node_modules/.*/node_modules/'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@bonafide/source', 'import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
