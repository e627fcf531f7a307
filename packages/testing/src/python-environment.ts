/** Python programs for interop tests: a virtual environment with what a requirements file names, made once and kept in the cache. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const CACHE = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.cache', 'bonafide-python');
const LIMIT_MS = 240_000;

export type PythonEnvironment =
  /** The folder with `python` and what the packages bring. */
  | { readonly binaries: string; readonly missing?: undefined }
  /** Why there is none, for the name of the test that is skipped. */
  | { readonly binaries?: undefined; readonly missing: string };

/** Needs Python 3 with venv and, the first time, PyPI. @param requirements a file in pip's format. */
export function pythonEnvironment(requirements: string): PythonEnvironment {
  const version = spawnSync('python3', ['--version'], { encoding: 'utf8' });
  if (version.status !== 0) return { missing: 'needs python3 on the PATH' };
  const key = createHash('sha256').update(version.stdout).update(readFileSync(requirements)).digest('hex');
  const folder = join(CACHE, key.slice(0, 16));
  const binaries = join(folder, 'bin');
  if (existsSync(folder)) return { binaries };
  // In place only when it is whole; `python -m` and binaries work wherever the folder is.
  const fresh = `${folder}.making-${process.pid}`;
  mkdirSync(CACHE, { recursive: true });
  const steps = [
    ['python3', '-m', 'venv', fresh],
    [
      join(fresh, 'bin', 'python'),
      '-m',
      'pip',
      'install',
      '--quiet',
      '--disable-pip-version-check',
      '-r',
      requirements,
    ],
  ] as const;
  for (const [command, ...args] of steps) {
    const step = spawnSync(command, args, { encoding: 'utf8', timeout: LIMIT_MS });
    if (step.status === 0) continue;
    rmSync(fresh, { recursive: true, force: true });
    return { missing: `needs what ${requirements} names from PyPI: ${lastLine(step.stderr)}` };
  }
  try {
    renameSync(fresh, folder);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return { binaries };
}

function lastLine(text: string): string {
  return text.trimEnd().split('\n').at(-1)?.slice(0, 200) ?? '';
}
