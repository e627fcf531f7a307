/** Where the programs under test are: the built ones, as an operator runs them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export type Program = 'server' | 'agent' | 'oidc';

const packages = join(import.meta.dirname, '..', '..');

/** @throws Error when the program has not been built. */
export function programPath(program: Program): string {
  const path = join(packages, program, 'dist', 'main.js');
  if (!existsSync(path)) throw new Error(`${path} is not there: run npm run build first`);
  return path;
}
