/** How commands reach the agent: its Workload API socket, with SPIRE's environment variables behind the flags. */
import { resolve } from 'node:path';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import { credentials, type ChannelOptions } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { DEFAULT_SOCKET_PATH } from '../configuration/default-socket-path.js';

export interface SocketFlags {
  readonly socketPath?: string;
  readonly instance?: string;
}

const SOCKET_VARIABLE = 'SPIRE_AGENT_PUBLIC_SOCKET';
const TEMPLATE_VARIABLE = 'SPIRE_AGENT_PUBLIC_SOCKET_TEMPLATE';
/** What the kernel's sockaddr_un holds, without the byte that ends it. */
const LONGEST_PATH_BYTES = 107;

export function addSocketFlags(command: Command): Command {
  return command
    .option(
      '--socket-path <path>',
      `socket of the Workload API (env ${SOCKET_VARIABLE}; default ${DEFAULT_SOCKET_PATH})`,
    )
    .option('--instance <name>', `fills %i in ${TEMPLATE_VARIABLE}, where many agents share a machine`);
}

/** In SPIRE's order: the flag, the instance, the environment, the default. @throws BonafideError `invalid_argument`. */
export function workloadSocketPath(flags: SocketFlags, environment: CommandHost['environment']): string {
  const path = resolve(
    flags.socketPath ??
      instanceSocketPath(flags, environment) ??
      (environment[SOCKET_VARIABLE] || DEFAULT_SOCKET_PATH),
  );
  if (Buffer.byteLength(path) > LONGEST_PATH_BYTES) {
    throw invalidArgument(`socket path is longer than ${LONGEST_PATH_BYTES} bytes: ${path}`);
  }
  return path;
}

/** The caller closes it. */
export function createSocketClient<Name extends ServiceName>(
  socketPath: string,
  service: Name,
  options: ChannelOptions = {},
): ServiceClient<Name> {
  const { Client } = loadService(service);
  return new Client(`unix:${socketPath}`, credentials.createInsecure(), options);
}

/** Says what the operator can do about a call that did not reach an agent. */
export function explainUnreachable(error: unknown, socketPath: string): unknown {
  if (!hasReason(error, 'unavailable')) return error;
  const isAbsent = /ENOENT|ECONNREFUSED|EACCES|No connection established/.test(error.message);
  if (!isAbsent) return error;
  const advice = "start it with 'bonafide-agent run --config FILE', or name its socket with --socket-path";
  const message = error.message.includes('EACCES')
    ? `no permission to use ${socketPath}`
    : `no agent listens on ${socketPath}; ${advice}`;
  return new BonafideError('unavailable', message, { cause: error });
}

function instanceSocketPath(
  { instance }: SocketFlags,
  environment: CommandHost['environment'],
): string | undefined {
  if (instance === undefined) return undefined;
  const template = environment[TEMPLATE_VARIABLE] ?? '';
  if (!template.includes('%i')) {
    throw invalidArgument(
      `--instance needs a socket path with %i in the environment variable ${TEMPLATE_VARIABLE}`,
    );
  }
  return template.replaceAll('%i', instance);
}
