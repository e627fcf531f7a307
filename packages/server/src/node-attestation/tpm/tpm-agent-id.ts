/** The ID of a machine's agent by its TPM: one endorsement key is one agent, for ever. */
import { agentId, pathOf, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

const TYPE = 'tpm';

export function tpmAgentId(trustDomain: TrustDomain, ekHash: string): SpiffeId {
  return agentId(trustDomain, TYPE, ekHash);
}

export function ekHashOf(id: SpiffeId): string {
  return pathOf(id).slice(`/spire/agent/${TYPE}/`.length);
}
