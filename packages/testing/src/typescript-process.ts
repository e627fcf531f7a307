/** Starts processes whose program is a TypeScript source, as the tests run it. */
import { fileURLToPath } from 'node:url';

const LOADER = fileURLToPath(new URL('typescript-source.mjs', import.meta.url));

/** What to give to Node.js. */
export function typescriptProcessArgs(program: URL, argv: readonly string[]): readonly string[] {
  return ['--conditions=@bonafide/source', '--import', LOADER, fileURLToPath(program), ...argv];
}
