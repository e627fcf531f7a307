/** A long-running process that a test starts, watches, stops and kills. */
import type { ChildProcess } from 'node:child_process';
import { spawnAs, type Account } from './run-as.js';
import { waitFor } from './wait-for.js';

/** Older output is dropped: a test under load must not fill the memory. */
const KEPT_OUTPUT_CHARACTERS = 200_000;

export interface ProcessDescription {
  /** For messages, for example `server`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly account?: Account;
  /** Asks it to end; SIGTERM unless told. */
  readonly stopSignal?: NodeJS.Signals;
  /** Asked until true; throwing counts as not yet. */
  readonly isReady: (process: LaunchedProcess) => boolean | Promise<boolean>;
  readonly readyLimitMs?: number;
}

export class LaunchedProcess implements AsyncDisposable {
  readonly #description: ProcessDescription;
  #child: ChildProcess | undefined;
  #output = '';

  private constructor(description: ProcessDescription) {
    this.#description = description;
  }

  /** @throws Error with all it printed, when it ends early or is not ready within the limit. */
  static async launch(description: ProcessDescription): Promise<LaunchedProcess> {
    const launched = new LaunchedProcess(description);
    await launched.start();
    return launched;
  }

  /** Starts it again after `stop` or `kill9`, with the same arguments. */
  async start(): Promise<void> {
    if (this.isRunning) throw new Error(`${this.#description.name} is already running`);
    const { command, args, env, cwd, account, name, isReady, readyLimitMs = 120_000 } = this.#description;
    const child = spawnAs(account, command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#child = child;
    const keep = (text: string): void => {
      this.#output = (this.#output + text).slice(-KEPT_OUTPUT_CHARACTERS);
    };
    child.stdout?.setEncoding('utf8').on('data', keep);
    child.stderr?.setEncoding('utf8').on('data', keep);
    child.once('error', (error) => {
      keep(`cannot start: ${error.message}\n`);
    });
    try {
      await waitFor(
        `${name} to be ready`,
        async () => {
          if (!this.isRunning) throw new EndedEarly(`it ended with ${this.#ending()}`);
          return (await isReady(this)) || undefined;
        },
        { limitMs: readyLimitMs, intervalMs: 50, explain: () => this.#output, stopOn: EndedEarly },
      );
    } catch (error) {
      await this.kill9();
      throw error;
    }
  }

  get isRunning(): boolean {
    return this.#child?.pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.#description.name} has not been started`);
    return this.#child.pid;
  }

  /** Standard output and standard error, mixed as they came, of every start. */
  get output(): string {
    return this.#output;
  }

  /** Undefined while it runs or when a signal ended it. */
  get exitCode(): number | undefined {
    return this.#child?.exitCode ?? undefined;
  }

  /** Asks it to end and waits. @throws Error when it has not ended within the limit; it is killed then. */
  async stop(limitMs = 60_000): Promise<void> {
    if (!this.isRunning) return;
    this.#child?.kill(this.#description.stopSignal ?? 'SIGTERM');
    try {
      await waitFor(`${this.#description.name} to stop`, () => !this.isRunning, {
        limitMs,
        explain: () => this.#output,
      });
    } catch (error) {
      await this.kill9();
      throw error;
    }
  }

  /** The machine pulls the plug: SIGKILL, no last words. */
  async kill9(): Promise<void> {
    if (!this.isRunning) return;
    this.#child?.kill('SIGKILL');
    await waitFor(`${this.#description.name} to be killed`, () => !this.isRunning);
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => this.kill9());
  }

  #ending(): string {
    const { exitCode, signalCode } = this.#child ?? {};
    return signalCode ? `signal ${signalCode}` : `code ${exitCode ?? 'unknown'}`;
  }
}

class EndedEarly extends Error {}
