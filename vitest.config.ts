import { defineConfig } from 'vitest/config';

// Tests run from the TypeScript sources; programs that tests start as processes run from dist.
// Not `import`: it would count for every `require` of a dependency too.
const conditions = ['@bonafide/source', 'node', 'module', 'default'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['**/dist/**', '**/node_modules/**'],
    // Generous, for a machine may have more to do than these tests; a hook that starts a database or a TPM as much as a test.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    // One for every core: many tests wait for processes, and the machine for them.
    maxWorkers: '100%',
  },
});
