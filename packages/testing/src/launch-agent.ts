/** A real agent process beside a launched server: attested with a join token made for it. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isServing } from './health.js';
import { LaunchedProcess } from './launched-process.js';
import type { LaunchedServer } from './launch-server.js';
import { mergeConfig, type ConfigFile } from './merge-config.js';
import { programPath } from './program-path.js';
import { runCommand, type CommandOptions, type CommandResult } from './run-command.js';

export interface LaunchAgentOptions {
  readonly server: LaunchedServer;
  /** Where its configuration, data and socket go; it must be one that workloads of other users may enter, if there are any. */
  readonly directory: string;
  /** Distinguishes several agents of one folder. */
  readonly name?: string;
  /** Undefined makes a token with `token generate`. */
  readonly joinToken?: string;
  /** Given to the token made here: the agent then also has this ID, as a node alias. */
  readonly spiffeId?: string;
  readonly config?: ConfigFile;
  readonly env?: Readonly<Record<string, string>>;
  readonly readyLimitMs?: number;
}

export interface LaunchedAgent extends AsyncDisposable {
  readonly process: LaunchedProcess;
  /** The agent's own ID: the parent of entries delivered to it. */
  readonly spiffeId: string;
  /** The Workload API. */
  readonly socketPath: string;
  /** For SPIFFE_ENDPOINT_SOCKET. */
  readonly address: string;
  readonly configPath: string;
  readonly dataDirectory: string;
  command(args: readonly string[], options?: CommandOptions): Promise<CommandResult>;
  stop(): Promise<void>;
  kill9(): Promise<void>;
  restart(): Promise<void>;
}

/** @example await using agent = await launchAgent({ server, directory: directory.path }); */
export async function launchAgent(options: LaunchAgentOptions): Promise<LaunchedAgent> {
  const { server, directory, name = 'agent', config = {}, env = {}, readyLimitMs = 30_000 } = options;
  const socketPath = join(directory, `${name}.sock`);
  const configPath = join(directory, `${name}.json`);
  const bundlePath = join(directory, `${name}-bundle.pem`);
  const dataDirectory = join(directory, name);
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  await writeFile(bundlePath, await server.commandOutput('bundle', 'show'));
  const joinToken = options.joinToken ?? (await generateJoinToken(server, options.spiffeId));
  const defaults: ConfigFile = {
    agent: {
      trust_domain: server.trustDomain,
      server_address: '127.0.0.1',
      server_port: server.port,
      socket_path: socketPath,
      data_dir: dataDirectory,
      trust_bundle_path: bundlePath,
      join_token: joinToken,
      log_level: 'DEBUG',
    },
    plugins: {
      KeyManager: { disk: { directory: dataDirectory } },
      NodeAttestor: { join_token: {} },
      WorkloadAttestor: { unix: { discover_workload_path: true } },
    },
  };
  await writeFile(configPath, JSON.stringify(mergeConfig(defaults, config), undefined, 2));
  const launched = await LaunchedProcess.launch({
    name,
    command: process.execPath,
    args: [programPath('agent'), 'run', '--config', configPath],
    env,
    readyLimitMs,
    isReady: () => isServing(socketPath),
  });
  return {
    process: launched,
    spiffeId: `spiffe://${server.trustDomain}/spire/agent/join_token/${joinToken}`,
    socketPath,
    address: `unix://${socketPath}`,
    configPath,
    dataDirectory,
    command: (args, commandOptions) =>
      runCommand('agent', [...args, '--socket-path', socketPath], commandOptions),
    stop: () => launched.stop(),
    kill9: () => launched.kill9(),
    restart: () => launched.restart(),
    [Symbol.asyncDispose]: () => launched[Symbol.asyncDispose](),
  };
}

/** Makes a join token with the server's command line. */
async function generateJoinToken(server: LaunchedServer, spiffeId?: string): Promise<string> {
  const id = spiffeId === undefined ? [] : ['--spiffe-id', spiffeId];
  const stdout = await server.commandOutput('token', 'generate', ...id);
  const token = /^Token: (\S+)$/m.exec(stdout)?.[1];
  if (token === undefined) throw new Error(`token generate printed no token: ${stdout}`);
  return token;
}
