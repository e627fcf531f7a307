/** How commands reach the agent's admin socket. */
import { resolve } from 'node:path';
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { ServiceName } from '@bonafide/shared/rpc/services';
import type { Command } from 'commander';
import { DEFAULT_ADMIN_SOCKET_PATH } from '../configuration/default-admin-socket-path.js';
import { createSocketClient } from './workload-socket.js';

/** Of the owner's own agent. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;

export interface AdminSocketFlags {
  readonly socketPath?: string;
  readonly config?: string;
}

export function addAdminSocketFlags(command: Command): Command {
  return command
    .option('--socket-path <path>', `the agent's admin socket (default ${DEFAULT_ADMIN_SOCKET_PATH})`)
    .option('--config <file>', "the agent's configuration file, which names its admin socket");
}

/** @throws BonafideError `invalid_argument` when the configuration file is not readable or names none. */
async function adminSocketPath({ config, socketPath }: AdminSocketFlags): Promise<string> {
  if (socketPath !== undefined) return resolve(socketPath);
  if (config === undefined) return DEFAULT_ADMIN_SOCKET_PATH;
  const path = await configuredPath(config);
  if (path === undefined) {
    throw invalidArgument(
      `the agent of ${config} has no admin socket; set agent.admin_socket_path, for example ${DEFAULT_ADMIN_SOCKET_PATH}, and restart it`,
    );
  }
  return resolve(path);
}

/** Asks one of the services there; what goes wrong says what the operator can do. */
export async function askAdmin<Name extends ServiceName, Answer>(
  flags: AdminSocketFlags,
  service: Name,
  ask: (client: ServiceClient<Name>) => Promise<Answer>,
): Promise<Answer> {
  const socketPath = await adminSocketPath(flags);
  const client = createSocketClient(socketPath, service, {
    'grpc.max_receive_message_length': LARGEST_ANSWER_BYTES,
  });
  try {
    return await ask(client);
  } catch (error) {
    throw explainUnreachableAdmin(error, socketPath);
  } finally {
    client.close();
  }
}

/** Says what the operator can do about a call that did not reach an agent. */
function explainUnreachableAdmin(error: unknown, socketPath: string): unknown {
  if (!hasReason(error, 'unavailable')) return error;
  const message = error.message.includes('EACCES')
    ? `no permission to use ${socketPath}; the admin socket is for the user that the agent runs as`
    : `no agent has its admin socket at ${socketPath}; start one that has agent.admin_socket_path in its configuration, and name it with --socket-path or --config`;
  return new BonafideError('unavailable', message, { cause: error });
}

async function configuredPath(file: string): Promise<string | undefined> {
  const [{ loadConfig }, { agentConfigSchema }] = await Promise.all([
    import('@bonafide/shared/config/load-config'),
    import('../configuration/agent-config.js'),
  ]);
  return (await loadConfig(file, agentConfigSchema)).agent.admin_socket_path;
}
