/** Where the programs under test are: bundled as they are delivered, or as the compiler left them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export type Program = 'server' | 'agent' | 'oidc';

const packages = join(import.meta.dirname, '..', '..');

/** BONAFIDE_PROGRAMS names the folder of the bundles, which `npm test` makes anew. @throws Error when the program has not been built. */
export function programPath(program: Program): string {
  const bundles = process.env['BONAFIDE_PROGRAMS'];
  return bundles === undefined ? compiledPath(program) : existing(join(bundles, program, 'main.js'));
}

/** With a file for each module, so that what is loaded before it can reach into them. @throws Error when the program has not been built. */
export function compiledPath(program: Program): string {
  return existing(join(packages, program, 'dist', 'main.js'));
}

function existing(path: string): string {
  if (!existsSync(path)) throw new Error(`${path} is not there: run npm run build first`);
  return path;
}
