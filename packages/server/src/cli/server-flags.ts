/** The flags by which every command finds the server's admin socket, with SPIRE's environment variables behind them. */
import { resolve } from 'node:path';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Command } from 'commander';

/** The same as `server.socket_path` when the configuration does not say. */
export const DEFAULT_ADMIN_SOCKET_PATH = '/tmp/spire-server/private/api.sock';

export interface ServerFlags {
  readonly socketPath?: string;
  readonly instance?: string;
}

const SOCKET_VARIABLES = ['BONAFIDE_SERVER_SOCKET', 'SPIRE_SERVER_PRIVATE_SOCKET'];
const TEMPLATE_VARIABLE = 'SPIRE_SERVER_PRIVATE_SOCKET_TEMPLATE';
/** What the kernel's sockaddr_un holds, without the byte that ends it. */
const LONGEST_SOCKET_PATH_BYTES = 107;

export function addServerFlags(command: Command): Command {
  return command
    .option(
      '--socket-path <path>',
      `admin socket of the server (env ${SOCKET_VARIABLES[0] ?? ''}; default ${DEFAULT_ADMIN_SOCKET_PATH})`,
    )
    .option('--instance <name>', `fills %i in ${TEMPLATE_VARIABLE}, where many servers share a machine`);
}

/** In SPIRE's order: the flag, the instance, the environment, the default. @throws BonafideError `invalid_argument`. */
export function adminSocketPath(
  flags: ServerFlags,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const fromEnvironment = SOCKET_VARIABLES.map((name) => environment[name]).find(Boolean);
  const path = resolve(
    flags.socketPath ??
      instanceSocketPath(flags, environment) ??
      fromEnvironment ??
      DEFAULT_ADMIN_SOCKET_PATH,
  );
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH_BYTES) {
    throw invalidArgument(`socket path is longer than ${LONGEST_SOCKET_PATH_BYTES} bytes: ${path}`);
  }
  return path;
}

function instanceSocketPath(
  { instance }: ServerFlags,
  environment: Readonly<Record<string, string | undefined>>,
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
