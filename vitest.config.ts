import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Tests run from the TypeScript sources; programs that tests start as processes run from dist.
// Neither `import` nor `module`: they would count for every `require` of a dependency too.
const conditions = ['@bonafide/source', 'node', 'default'];

const ALL = ['packages/*/src/**/*.test.ts', 'test/**/*.test.ts'];
/** They take all that the machine has, for as long as they run: after the others, and one by one. */
const ALONE = ['test/faults/workload-flood.test.ts', 'test/faults/fifty-uids.test.ts'];
/** Two for every core: most of the time tests wait, for processes that start and for clocks. */
const WORKERS = 2 * availableParallelism();
const NEVER = ['**/dist/**', '**/node_modules/**'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    projects: [
      {
        extends: true,
        test: {
          name: 'all',
          include: ALL,
          exclude: [...NEVER, ...ALONE],
          maxWorkers: WORKERS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'alone', include: ALONE, exclude: NEVER, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
    // Generous, for a machine may have more to do than these tests: a limit is there to end what hangs. Those of waits are shorter, and say more.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
