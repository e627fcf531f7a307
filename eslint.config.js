import tseslint from 'typescript-eslint';

const clockOnly = 'only packages/shared/src/runtime reads the clock; take a Clock or a `now: Date`';
const lockedKeys =
  'to export such a key can stop the process for ever: take generatePrivateKey, in tests makeKeyPair, which says why';

export default tseslint.config(
  { ignores: ['**/dist/', '**/gen/', '**/node_modules/', 'coverage/'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ['vitest.config.ts'] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true } }],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'node:crypto', importNames: ['generateKeyPairSync'], message: lockedKeys }] },
      ],
    },
  },
  {
    files: ['packages/testing/src/make-key-pair.ts'],
    rules: { 'no-restricted-imports': 'off' },
  },
  {
    // The types of Express have others add to a request in a global namespace.
    files: ['packages/sdk/src/express/require-spiffe-id.ts'],
    rules: { '@typescript-eslint/no-namespace': ['error', { allowDeclarations: true }] },
  },
  {
    files: ['packages/*/src/**/*.ts'],
    ignores: ['packages/shared/src/runtime/**', '**/*.test.ts', 'packages/testing/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        { name: 'setTimeout', message: clockOnly },
        { name: 'setInterval', message: clockOnly },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "CallExpression[callee.object.name='Date'][callee.property.name='now']",
          message: clockOnly,
        },
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: clockOnly },
      ],
    },
  },
);
