/** What the parts of the agent are told, out of its configuration. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { checkSocketPath } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import type { AgentConfig } from '../configuration/agent-config.js';
import { endpointLimits, type EndpointLimits } from '../endpoints/endpoint-limits.js';
import { inheritedSocket } from '../endpoints/inherited-socket.js';
import type { BootstrapSource } from '../node-attestation/bootstrap-bundle.js';

type AgentSettings = AgentConfig['agent'];

export function bootstrapSource(agent: AgentSettings): BootstrapSource {
  const format = agent.trust_bundle_format;
  if (agent.trust_bundle_path !== undefined) {
    return { kind: 'file', path: resolve(agent.trust_bundle_path), format };
  }
  if (agent.trust_bundle_url !== undefined) return { kind: 'url', url: agent.trust_bundle_url, format };
  return { kind: 'insecure' };
}

/** @throws BonafideError `invalid_argument` when the file cannot be read or is empty. */
export async function readJoinToken(agent: AgentSettings): Promise<string | undefined> {
  const path = agent.join_token_file;
  if (path === undefined) return agent.join_token;
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw invalidArgument(`cannot read the join token file ${path}: ${errorMessage(error)}`, error);
  }
  const token = text.trim();
  if (token === '') throw invalidArgument(`the join token file ${path} is empty`);
  return token;
}

export interface SocketPaths {
  readonly workloadApi: string;
  /** A listening socket that was handed to this process, in place of that path. */
  readonly inheritedFd: number | undefined;
  /** Undefined: none is configured. */
  readonly admin: string | undefined;
}

/** @throws BonafideError `invalid_argument` when a path cannot be that of a socket. */
export function socketPaths(
  agent: AgentSettings,
  environment: Readonly<Record<string, string | undefined>>,
): SocketPaths {
  const workloadApi = resolve(agent.socket_path);
  const inheritedFd = inheritedSocket(environment, process.pid);
  if (inheritedFd === undefined) checkSocketPath(workloadApi);
  const admin = agent.admin_socket_path === undefined ? undefined : resolve(agent.admin_socket_path);
  if (admin !== undefined) checkSocketPath(admin);
  return { workloadApi, inheritedFd, admin };
}

/** With what is not configured as the number of files that the agent may have open allows. */
export function configuredLimits(limits: AgentSettings['limits']): EndpointLimits {
  const set: Partial<EndpointLimits> = Object.fromEntries(
    Object.entries({
      maxConnections: limits.max_connections,
      maxConnectionsPerUid: limits.max_connections_per_uid,
      maxStreamsPerConnection: limits.max_streams_per_connection,
      maxStreamsPerUid: limits.max_streams_per_uid,
      callsPerSecondPerUid: limits.calls_per_second_per_uid,
      maxAttestationsPerUid: limits.max_attestations_per_uid,
    }).filter(([, value]) => value !== undefined),
  );
  return endpointLimits(set);
}
