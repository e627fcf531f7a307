/** Works through one page of the documentation as its reader would: block after block, in one folder. */
import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { waitFor } from '@bonafide/testing/wait-for';
import { parse } from 'yaml';
import { PageSurroundings } from './page-surroundings.js';
import { blocksOfBeginning, type Block, type Page } from './read-document.js';

const BLOCK_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 20_000;
/** Who has which first key in a configuration file. */
const PROGRAMS: Readonly<Record<string, string>> = {
  server: 'bonafide-server',
  agent: 'bonafide-agent',
  domains: 'bonafide-oidc',
};

interface Started {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly hasEnded: () => boolean;
}

/** @throws Error naming file and line of the first block that does not do what the page says. */
export async function runDocument(page: Page): Promise<void> {
  await using surroundings = await PageSurroundings.create(page.settings ?? {});
  const run = new DocumentRun(surroundings);
  const after = page.settings?.after;
  const before = after === undefined ? [] : blocksOfBeginning(after);
  try {
    for (const block of [...before, ...page.blocks]) await run.follow(block);
    await run.validateFiles();
  } finally {
    await run.end();
  }
}

class DocumentRun {
  readonly #surroundings: PageSurroundings;
  readonly #state: string;
  readonly #background: Started[] = [];
  readonly #configs: { readonly block: Block; readonly program: string }[] = [];
  #output: (() => string) | undefined;

  constructor(surroundings: PageSurroundings) {
    this.#surroundings = surroundings;
    this.#state = `${surroundings.folder}.state`;
  }

  async follow(block: Block): Promise<void> {
    if (block.file !== undefined) this.#write(block, block.file);
    else if (block.language === 'text') await this.#expectLines(block);
    else this.#output = undefined;
    if (block.language !== 'sh' || block.elsewhere !== undefined || block.file !== undefined) return;
    await (block.background === undefined ? this.#run(block) : this.#start(block, block.background));
  }

  async validateFiles(): Promise<void> {
    for (const { block, program } of this.#configs) {
      const started = this.#spawn(`${program} validate --config ${block.file ?? ''}`);
      await this.#untilEnded(block, started);
      if (started.child.exitCode !== 0)
        throw this.#failure(block, 'is no valid configuration', started.output());
    }
  }

  async end(): Promise<void> {
    for (const started of this.#background.toReversed()) {
      signalGroup(started.child, 'SIGTERM');
      await waitFor('a program to end', started.hasEnded, { limitMs: STOP_LIMIT_MS }).catch(() => undefined);
      signalGroup(started.child, 'SIGKILL');
    }
  }

  #write(block: Block, file: string): void {
    const path = join(this.#surroundings.folder, file);
    const text = this.#surroundings.translate(block.text);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    if (text.startsWith('#!')) chmodSync(path, 0o755);
    if (block.language !== 'yaml') return;
    const content: unknown = parse(text);
    const [key = ''] = typeof content === 'object' && content !== null ? Object.keys(content) : [];
    const program = PROGRAMS[key];
    if (program !== undefined) this.#configs.push({ block, program });
  }

  async #run(block: Block): Promise<void> {
    const started = this.#spawn(this.#surroundings.translate(block.text));
    this.#output = started.output;
    await this.#untilEnded(block, started);
    const { exitCode } = started.child;
    if ((exitCode === 0) === block.isToFail) {
      throw this.#failure(block, `ended with code ${exitCode ?? 'none'}`, started.output());
    }
  }

  async #start(block: Block, line: string): Promise<void> {
    const started = this.#spawn(this.#surroundings.translate(block.text));
    this.#background.push(started);
    this.#output = started.output;
    const isReady = (): boolean => started.output().includes(this.#surroundings.translate(line));
    await waitFor(`${block.place} to print ${line}`, () => isReady() || started.hasEnded(), {
      limitMs: BLOCK_LIMIT_MS,
      explain: () => started.output().slice(-4_000),
    });
    if (!isReady()) throw this.#failure(block, `ended before it printed ${line}`, started.output());
  }

  async #expectLines(block: Block): Promise<void> {
    const output = this.#output;
    if (output === undefined) throw this.#failure(block, 'is behind no block that was run', '');
    const wanted = this.#surroundings
      .translate(block.text)
      .split('\n')
      .filter((line) => line.trim() !== '');
    const isThere = (): boolean => firstMissing(wanted, output()) === undefined;
    // What is written in the background comes when it comes.
    await waitFor(`${block.place} to be printed`, isThere, {
      limitMs: this.#background.some((each) => each.output === output) ? BLOCK_LIMIT_MS : 1,
      explain: () => `missing: ${firstMissing(wanted, output()) ?? ''}\nprinted:\n${output().slice(-4_000)}`,
    });
  }

  /** In a process group of its own, so that what it starts ends with it. */
  #spawn(script: string): Started {
    const state = this.#state;
    const before = existsSync(state) ? `. ${state}\n` : '';
    const after = `trap 'export -p > ${state}; printf "cd %q\\n" "$PWD" >> ${state}' EXIT\n`;
    const child = spawn('bash', ['-euo', 'pipefail', '-c', `${before}${after}${script}`], {
      cwd: this.#surroundings.folder,
      env: { ...process.env, ...this.#surroundings.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let output = '';
    let hasEnded = false;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    child.once('error', (error) => (output += error.message));
    child.once('close', () => (hasEnded = true));
    return { child, output: () => output, hasEnded: () => hasEnded };
  }

  async #untilEnded(block: Block, started: Started): Promise<void> {
    try {
      await waitFor(`${block.place} to end`, started.hasEnded, {
        limitMs: BLOCK_LIMIT_MS,
        explain: () => started.output().slice(-4_000),
      });
    } finally {
      signalGroup(started.child, 'SIGKILL');
    }
  }

  #failure(block: Block, what: string, output: string): Error {
    const others = this.#background.map((each) => `--- in the background:\n${each.output().slice(-2_000)}`);
    return new Error([`${block.place} ${what}`, block.text, output.slice(-4_000), ...others].join('\n'));
  }
}

/** The first wanted line that is not in the output, behind the ones before it. */
export function firstMissing(wanted: readonly string[], output: string): string | undefined {
  let rest = output;
  for (const line of wanted) {
    const parts = line.trim().split('…');
    const words = parts.map((part) =>
      part.replaceAll(/[.?*+^$()[\]{}|\\]/g, String.raw`\$&`).replaceAll(/\s+/g, String.raw`\s+`),
    );
    const found = new RegExp(words.join('.*')).exec(rest);
    if (found === null) return line;
    rest = rest.slice(found.index + found[0].length);
  }
  return undefined;
}

/** What has ended already, with all that it started, is nobody to be told. */
function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
