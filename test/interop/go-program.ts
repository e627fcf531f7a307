/** The Go half of interop tests: a workload and a verifier made with go-spiffe. */
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { TemporaryDirectory } from '@bonafide/testing/temporary-directory';

const source = join(import.meta.dirname, 'go-spiffe');
/** Go itself waits for ever for a module proxy that has stalled. */
const LIMIT_MS = 240_000;

/** What it lacks here, for the name of the tests that are skipped; undefined when there is all of it. */
export function missingForGo(): string | undefined {
  const options = { cwd: source, encoding: 'utf8', timeout: LIMIT_MS } as const;
  if (spawnSync('go', ['version'], options).status !== 0) return 'go on the PATH';
  const { error, status, stderr } = spawnSync('go', ['mod', 'download'], options);
  if (status === 0) return undefined;
  const reason = error?.message ?? stderr.trim().split('\n').at(-1) ?? '';
  return `the modules that test/interop/go-spiffe/go.mod names: ${reason.slice(0, 200)}`;
}

/** @returns its path. @throws Error when it does not compile. */
export function buildGoProgram(directory: TemporaryDirectory): string {
  const program = directory.join('workload');
  execFileSync('go', ['build', '-o', program, '.'], {
    cwd: source,
    env: { ...process.env, GOPROXY: 'off' },
    timeout: LIMIT_MS,
    stdio: 'inherit',
  });
  return program;
}
