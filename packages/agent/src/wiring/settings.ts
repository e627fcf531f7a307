/** What the parts of the agent are told, out of its configuration. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { AgentConfig } from '../configuration/agent-config.js';
import type { EndpointLimits } from '../endpoints/endpoint-limits.js';
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

export function endpointLimits(limits: AgentSettings['limits']): Partial<EndpointLimits> {
  return Object.fromEntries(
    Object.entries({
      maxConnections: limits.max_connections,
      maxConnectionsPerUid: limits.max_connections_per_uid,
      maxStreamsPerConnection: limits.max_streams_per_connection,
      maxStreamsPerUid: limits.max_streams_per_uid,
    }).filter(([, value]) => value !== undefined),
  );
}
