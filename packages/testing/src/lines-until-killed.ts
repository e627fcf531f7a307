/** A TypeScript program that is killed while it works, and what it had said until then. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { typescriptProcessArgs } from './typescript-process.js';

/**
 * Kills it (SIGKILL) once it has said more than `lines` lines.
 * @returns them, without one that was cut short: nobody heard what that would have been.
 * @throws Error when it ended in any other way.
 */
export async function linesUntilKilled(
  program: URL,
  argv: readonly string[],
  lines: number,
): Promise<readonly string[]> {
  const child = spawn(process.execPath, typescriptProcessArgs(program, argv), {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (chunk: string) => {
    output += chunk;
    if (output.split('\n').length > lines) child.kill('SIGKILL');
  });
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (signal !== 'SIGKILL') {
    throw new Error(`it ended with ${signal ?? `exit code ${code ?? 'unknown'}`} before it could be killed`);
  }
  return output.split('\n').slice(0, -1);
}
