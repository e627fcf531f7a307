/** SPIRE's own server and agent, run as a test's programs; whoever has them says where by PATH or BONAFIDE_SPIRE_BIN. */
import { spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { findFreePort } from '@bonafide/testing/free-port';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { runProcess } from '@bonafide/testing/run-command';

const folder = process.env['BONAFIDE_SPIRE_BIN'];
export const SPIRE_ENVIRONMENT = {
  PATH: [...(folder === undefined ? [] : [folder]), process.env['PATH'] ?? ''].join(delimiter),
};

export const hasSpire = ['spire-server', 'spire-agent'].every(
  (program) => spawnSync(program, ['--version'], { env: SPIRE_ENVIRONMENT }).status === 0,
);

/** What the tests that need them are called when they are skipped. */
export const NEEDS_SPIRE = '(needs spire-server and spire-agent on the PATH or in BONAFIDE_SPIRE_BIN)';

/** What `entry create -data` of either server takes. */
interface EntryData {
  readonly spiffe_id: string;
  readonly parent_id: string;
  readonly selectors: readonly { readonly type: string; readonly value: string }[];
}

export class SpireProgram implements AsyncDisposable {
  readonly process: LaunchedProcess;
  readonly #name: string;
  readonly #socket: string;

  private constructor(name: string, socket: string, process: LaunchedProcess) {
    this.#name = name;
    this.#socket = socket;
    this.process = process;
  }

  /** Runs one of its commands against it. @throws Error with what it printed unless it leaves code 0. */
  async command(...args: readonly string[]): Promise<string> {
    const all = [...args, '-socketPath', this.#socket];
    const { code, stdout, stderr } = await runProcess(this.#name, all, {
      env: SPIRE_ENVIRONMENT,
      limitMs: 30_000,
    });
    if (code !== 0)
      throw new Error(`${this.#name} ${args.join(' ')} left code ${code ?? 'none'}: ${stdout}${stderr}`);
    return stdout;
  }

  /** Lines of its log of these levels. */
  logged(...levels: readonly string[]): readonly string[] {
    return this.process.output
      .split('\n')
      .filter((line) => levels.some((name) => line.includes(`level=${name}`)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }

  static async launch(name: string, configuration: string, socket: string): Promise<SpireProgram> {
    const process = await LaunchedProcess.launch({
      name,
      command: name,
      args: ['run', '-config', configuration],
      env: SPIRE_ENVIRONMENT,
      readyLimitMs: 60_000,
      isReady: async () => {
        const health = ['healthcheck', '-socketPath', socket];
        return (await runProcess(name, health, { env: SPIRE_ENVIRONMENT, limitMs: 10_000 })).code === 0;
      },
    });
    return new SpireProgram(name, socket, process);
  }
}

export interface SpireServer {
  readonly program: SpireProgram;
  readonly port: number;
}

/** A node attestor of either program: its name and its settings, HCL. */
interface SpireNodeAttestor {
  readonly type: string;
  readonly settings: string;
}

const JOIN_TOKEN: SpireNodeAttestor = { type: 'join_token', settings: '' };

/** Of trust domain example.org, with join tokens unless told, and SQLite. */
export async function launchSpireServer(
  directory: string,
  settings = '',
  nodeAttestor = JOIN_TOKEN,
): Promise<SpireServer> {
  const port = await findFreePort();
  const socket = join(directory, 'spire-server.sock');
  const data = join(directory, 'spire-server');
  await mkdir(data, { mode: 0o700 });
  const configuration = join(directory, 'server.conf');
  await writeFile(
    configuration,
    `server {
      bind_address = "127.0.0.1" bind_port = "${port}" socket_path = "${socket}" trust_domain = "example.org"
      data_dir = "${data}" log_level = "DEBUG" ${settings}
    }
    plugins {
      DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${join(data, 'db.sqlite3')}" } }
      NodeAttestor "${nodeAttestor.type}" { plugin_data { ${nodeAttestor.settings} } }
      KeyManager "disk" { plugin_data { keys_path = "${join(data, 'keys.json')}" } }
    }`,
  );
  return { program: await SpireProgram.launch('spire-server', configuration, socket), port };
}

export interface SpireAgentOptions {
  readonly directory: string;
  readonly serverPort: number;
  readonly bundlePath: string;
  /** The evidence, unless there is another attestor. */
  readonly joinToken?: string;
  readonly nodeAttestor?: SpireNodeAttestor;
}

/** With its keys in memory and the unix workload attestor. */
export async function launchSpireAgent(options: SpireAgentOptions): Promise<SpireProgram> {
  const { directory, serverPort, bundlePath, joinToken, nodeAttestor = JOIN_TOKEN } = options;
  const socket = join(directory, 'public', 'api.sock');
  const data = join(directory, 'spire-agent');
  await mkdir(data, { mode: 0o700 });
  const configuration = join(directory, 'agent.conf');
  await writeFile(
    configuration,
    `agent {
      trust_domain = "example.org" server_address = "127.0.0.1" server_port = "${serverPort}"
      socket_path = "${socket}" data_dir = "${data}" trust_bundle_path = "${bundlePath}"
      ${joinToken === undefined ? '' : `join_token = "${joinToken}"`} log_level = "INFO"
    }
    plugins {
      NodeAttestor "${nodeAttestor.type}" { plugin_data { ${nodeAttestor.settings} } }
      KeyManager "memory" { plugin_data {} }
      WorkloadAttestor "unix" { plugin_data {} }
    }`,
  );
  return SpireProgram.launch('spire-agent', configuration, socket);
}

/** More entries than either server sends at once, for a selector that nobody has. */
export async function writeManyEntries(path: string, parentId: string): Promise<number> {
  const entries = Array.from({ length: 510 }, (_, index): EntryData => ({
    spiffe_id: `spiffe://example.org/many/${index}`,
    parent_id: parentId,
    selectors: [{ type: 'unix', value: 'uid:4000000000' }],
  }));
  await writeFile(path, JSON.stringify({ entries }));
  return entries.length;
}
