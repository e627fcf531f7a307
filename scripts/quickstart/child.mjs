// A process of the story: its lines are remembered, it is ended by its own id, and its early death is noticed.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const KEPT_LINES = 2_000;

export class Child {
  name;
  lines = [];
  #process;
  #isStopping = false;
  #ended;

  constructor(name, command, args, options = {}) {
    this.name = name;
    this.#process = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        this.lines.push(line);
        if (this.lines.length > KEPT_LINES) this.lines.shift();
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#process.once('error', (error) => resolve(error.message));
      this.#process.once('close', (code, signal) =>
        resolve(code === null ? `signal ${signal}` : `code ${code}`),
      );
    });
    void this.#ended.then((ending) => (this.ending = ending));
  }

  get pid() {
    return this.#process.pid;
  }

  /** Resolves with how it ended. */
  get ended() {
    return this.#ended;
  }

  /** Throws when it ended although nobody asked it to. */
  mustRun() {
    if (this.ending !== undefined && !this.#isStopping)
      throw new Error(`${this.name} ended with ${this.ending}`);
  }

  /** The lines that match, as match objects, oldest first. */
  matches(pattern) {
    return this.lines.map((line) => pattern.exec(line)).filter((match) => match !== null);
  }

  async stop(limitMs = 10_000) {
    if (this.ending !== undefined) return;
    this.#isStopping = true;
    this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), limitMs);
    await this.#ended;
    clearTimeout(timer);
  }
}

/** Runs a command to its end. */
export async function run(command, args, options = {}) {
  const child = new Child(args.join(' '), command, args, options);
  const timer = setTimeout(() => void child.stop(0), options.limitMs ?? 30_000);
  const ending = await child.ended;
  clearTimeout(timer);
  return { isOk: ending === 'code 0', ending, text: child.lines.join('\n') };
}
