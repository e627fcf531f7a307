/** The code in the README of this package and in docs/sdk.md is code: every block of it compiles, in one strict program. */
import { execFile } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '..', '..', '..');
const LIMIT_MS = 400_000;

const PAGES = { readme: 'packages/sdk/README.md', guide: 'docs/sdk.md' };

/** What the blocks import that their readers have. */
const GREETER = `import type { ServiceDefinition } from '@grpc/grpc-js';
export interface GreetRequest { readonly name: string }
export interface GreetReply { readonly text: string }
export declare const GreeterService: ServiceDefinition;
`;

const COMPILER_OPTIONS = {
  strict: true,
  exactOptionalPropertyTypes: true,
  module: 'nodenext',
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  types: ['node'],
  customConditions: ['@bonafide/source'],
  allowImportingTsExtensions: true,
  skipLibCheck: true,
  noEmit: true,
};

function blocks(page: string): readonly string[] {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```(?:js|ts)\n(.*?)^```$/gms)].map(([, code = '']) => code);
}

it('compiles', { timeout: LIMIT_MS }, async () => {
  using directory = createTemporaryDirectory();
  symlinkSync(join(root, 'node_modules'), directory.join('node_modules'));
  writeFileSync(directory.join('package.json'), '{"type":"module"}');
  writeFileSync(directory.join('greeter-service.ts'), GREETER);
  writeFileSync(directory.join('tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
  for (const [name, page] of Object.entries(PAGES)) {
    const found = blocks(page);
    expect(found.length).toBeGreaterThan(0);
    found.forEach((code, index) => {
      writeFileSync(directory.join(`${name}-${index + 1}.ts`), `${code}export {};\n`);
    });
  }
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
  const { stdout } = await run(process.execPath, [tsc, '-p', directory.path], {
    cwd: directory.path,
    timeout: LIMIT_MS,
  }).catch((error: unknown) => error as { stdout: string });
  expect(stdout).toBe('');
});
