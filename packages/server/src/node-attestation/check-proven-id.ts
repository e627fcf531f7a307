/** Whether an agent ID is of those that an attestor may give: one kind of evidence must not speak for another kind of node, or for the server. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { pathOf, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { ProvenNode } from './node-attestor.js';

const AGENT_PATHS = '/spire/agent/';

interface AttestorPlace {
  readonly trustDomain: TrustDomain;
  /** Of the attestor. */
  readonly type: string;
  /** All that are enabled. */
  readonly types: { has(type: string): boolean };
}

/**
 * @throws BonafideError `internal` for an attestor's mistake; `permission_denied` when what a node says of itself, in a path that operators
 * gave a form of their own, leads to the place of nodes that are proven in another way: it would be given their entries.
 */
export function checkProvenId(
  { agentId, hasConfiguredPath = false }: Pick<ProvenNode, 'agentId' | 'hasConfiguredPath'>,
  { trustDomain, type, types }: AttestorPlace,
): void {
  const prefix = hasConfiguredPath ? AGENT_PATHS : `${AGENT_PATHS}${type}/`;
  const path = pathOf(agentId);
  if (trustDomainOf(agentId) !== trustDomain || !path.startsWith(prefix) || path.length === prefix.length) {
    throw new BonafideError('internal', `the node attestor ${type} produced the agent ID ${agentId}`);
  }
  const [first = ''] = path.slice(AGENT_PATHS.length).split('/');
  if (first === type || !types.has(first)) return;
  throw new BonafideError(
    'permission_denied',
    `the agent path template makes ${agentId} of what this node proved by ${type}: that is an ID of nodes that ${first} attests`,
  );
}
