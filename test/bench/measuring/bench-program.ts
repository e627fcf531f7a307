/** Where a program is that a benchmark starts: beside this file when built, and from the source when a test runs. */
import { fileURLToPath } from 'node:url';

export interface BenchProgram {
  readonly path: string;
  readonly execArgv: readonly string[];
}

/** @param name below test/bench, without an ending. */
export function benchProgram(name: string): BenchProgram {
  const isSource = import.meta.url.endsWith('.ts');
  const path = fileURLToPath(new URL(`../${name}${isSource ? '.ts' : '.js'}`, import.meta.url));
  if (!isSource) return { path, execArgv: [] };
  const loader = new URL('../../../packages/testing/src/typescript-source.mjs', import.meta.url).href;
  return { path, execArgv: ['--conditions=@bonafide/source', '--import', loader] };
}

/** For a program that is loaded into a built one. */
export function builtProgram(name: string): string {
  const built = import.meta.url.endsWith('.ts') ? `../../dist/bench/${name}.js` : `../${name}.js`;
  return fileURLToPath(new URL(built, import.meta.url));
}
