/** A real server process on a free port and a temporary folder, as a test's own trust domain. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort } from './free-port.js';
import { isServing } from './health.js';
import { LaunchedProcess } from './launched-process.js';
import { mergeConfig, type ConfigFile } from './merge-config.js';
import { compiledPath, programPath } from './program-path.js';
import { runCommand, type CommandOptions, type CommandResult } from './run-command.js';

export interface LaunchServerOptions {
  /** Where its configuration, data and socket go; it stays when the server stops, so that a restart finds its data. */
  readonly directory: string;
  readonly trustDomain?: string;
  /** Distinguishes several servers of one folder; `server` unless given. */
  readonly name?: string;
  /** Merged over the defaults, by SPIRE's names: `{ server: { ca_ttl: '1h' } }`. */
  readonly config?: ConfigFile;
  readonly env?: Readonly<Record<string, string>>;
  /** As the compiler left it, even where bundles are tested: `env` has it load what reaches into its modules. */
  readonly isCompiled?: boolean;
  readonly readyLimitMs?: number;
}

export interface LaunchedServer extends AsyncDisposable {
  readonly process: LaunchedProcess;
  readonly trustDomain: string;
  readonly port: number;
  readonly socketPath: string;
  readonly configPath: string;
  readonly directory: string;
  /** Runs a command of the server's command line against it: `server.command('entry', 'show')`. */
  command(...args: readonly string[]): Promise<CommandResult>;
  /** As `command`, and throws with what it printed unless it leaves code 0; gives standard output. */
  commandOutput(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  restart(): Promise<void>;
}

/**
 * @example
 * using directory = createTemporaryDirectory();
 * await using server = await launchServer({ directory: directory.path });
 * const entries = await server.commandOutput('entry', 'show', '--output', 'json');
 */
export async function launchServer(options: LaunchServerOptions): Promise<LaunchedServer> {
  const { directory, trustDomain = 'example.org', name = 'server' } = options;
  const { config = {}, env = {}, isCompiled = false, readyLimitMs = 120_000 } = options;
  const port = await findFreePort();
  const socketPath = join(directory, `${name}.sock`);
  const configPath = join(directory, `${name}.json`);
  const dataDirectory = join(directory, name);
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const defaults: ConfigFile = {
    server: {
      trust_domain: trustDomain,
      bind_address: '127.0.0.1',
      bind_port: port,
      socket_path: socketPath,
      data_dir: dataDirectory,
      log_level: 'DEBUG',
    },
    plugins: {
      KeyManager: { disk: { keys_path: join(dataDirectory, 'keys.json') } },
      NodeAttestor: { join_token: {} },
    },
  };
  await writeFile(configPath, JSON.stringify(mergeConfig(defaults, config), undefined, 2));
  const launched = await LaunchedProcess.launch({
    name,
    command: process.execPath,
    args: [isCompiled ? compiledPath('server') : programPath('server'), 'run', '--config', configPath],
    env,
    readyLimitMs,
    isReady: () => isServing(socketPath),
  });
  const command = (args: readonly string[], commandOptions?: CommandOptions): Promise<CommandResult> =>
    runCommand('server', [...args, '--socket-path', socketPath], commandOptions);
  return {
    process: launched,
    trustDomain,
    port,
    socketPath,
    configPath,
    directory,
    command: (...args) => command(args),
    commandOutput: async (...args) => {
      const { code, stdout, stderr } = await command(args);
      if (code !== 0) throw new Error(`${args.join(' ')} left code ${code ?? 'none'}: ${stdout}${stderr}`);
      return stdout;
    },
    stop: () => launched.stop(),
    kill9: () => launched.kill9(),
    restart: () => launched.restart(),
    [Symbol.asyncDispose]: () => launched[Symbol.asyncDispose](),
  };
}
