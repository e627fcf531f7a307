/** A real agent process beside a launched server: attested with a join token made for it, or by what a test names. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAnswering } from './health.js';
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
  /** In place of a join token. */
  readonly attestor?: {
    /** What stands below NodeAttestor. */
    readonly config: ConfigFile;
    /** The ID that the agent is to get. */
    readonly agentId: string;
  };
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
  const { server, directory, name = 'agent', config = {}, env = {}, readyLimitMs = 120_000 } = options;
  const socketPath = join(directory, `${name}.sock`);
  const configPath = join(directory, `${name}.json`);
  const bundlePath = join(directory, `${name}-bundle.pem`);
  const dataDirectory = join(directory, name);
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  await writeFile(bundlePath, await server.commandOutput('bundle', 'show'));
  const { agentId, ...credentials } = await credentialsOf(options);
  const defaults: ConfigFile = {
    agent: {
      trust_domain: server.trustDomain,
      server_address: '127.0.0.1',
      server_port: server.port,
      socket_path: socketPath,
      data_dir: dataDirectory,
      trust_bundle_path: bundlePath,
      ...credentials.agent,
      log_level: 'DEBUG',
    },
    plugins: {
      KeyManager: { disk: { directory: dataDirectory } },
      NodeAttestor: credentials.nodeAttestor,
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
    isReady: () => isAnswering(socketPath),
  });
  return {
    process: launched,
    spiffeId: agentId,
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

interface Credentials {
  readonly agentId: string;
  readonly agent: ConfigFile;
  readonly nodeAttestor: ConfigFile;
}

async function credentialsOf({
  attestor,
  joinToken,
  server,
  spiffeId,
}: LaunchAgentOptions): Promise<Credentials> {
  if (attestor !== undefined) return { agentId: attestor.agentId, agent: {}, nodeAttestor: attestor.config };
  const token = joinToken ?? (await generateJoinToken(server, spiffeId));
  return {
    agentId: `spiffe://${server.trustDomain}/spire/agent/join_token/${token}`,
    agent: { join_token: token },
    nodeAttestor: { join_token: {} },
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
