/** Running a command to its end, as an operator does: what it printed and the code it left. */
import type { SpawnOptions } from 'node:child_process';
import { programPath, type Program } from './program-path.js';
import { spawnAs, type Account } from './run-as.js';

export interface CommandResult {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to its standard input, which is then closed. */
  readonly input?: string;
  /** After this many milliseconds it is killed and the promise rejects; two minutes unless told. */
  readonly limitMs?: number;
  readonly account?: Account;
}

/** @example const { code, stdout } = await runCommand('server', ['entry', 'show', '--socket-path', path]); */
export function runCommand(
  program: Program,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return runProcess(process.execPath, [programPath(program), ...args], options);
}

export function runProcess(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { cwd, env, input = '', limitMs = 120_000, account } = options;
  const spawnOptions: SpawnOptions = {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
  };
  return new Promise((resolve, reject) => {
    const child = spawnAs(account, command, args, spawnOptions);
    let stdout = '';
    let stderr = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${args.join(' ')} did not end within ${limitMs} ms\n${stdout}${stderr}`));
    }, limitMs);
    child.once('error', (error) => {
      clearTimeout(limit);
      reject(error);
    });
    child.once('close', (code) => {
      clearTimeout(limit);
      resolve({ code: code ?? undefined, stdout, stderr });
    });
    child.stdin?.on('error', () => undefined); // it may end without reading what it is given
    child.stdin?.end(input);
  });
}
