/** Whether an agent may have a Watch stream, and in which words one that may not is told so. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { inQuarantine } from '../node-proof/quarantine.js';
import type { AttestedNode } from '../store/node-record.js';
import { retryAfterMs } from './snapshot-admission.js';

export interface StreamOwner {
  readonly agentId: SpiffeId;
  /** Of the SVID that opened the stream. */
  readonly serialNumber: string;
}

export function refusalOf(
  { agentId, serialNumber }: StreamOwner,
  node: AttestedNode | undefined,
): BonafideError | undefined {
  if (node === undefined) {
    return new BonafideError('agent_not_attested', `agent ${agentId} is not attested`);
  }
  if (node.isBanned) return new BonafideError('agent_banned', `agent ${agentId} is banned`);
  if (node.quarantine !== undefined) return inQuarantine(agentId);
  if (serialNumber !== node.serialNumber && serialNumber !== node.nextSerialNumber) {
    // Not `agent_not_active`, which tells an agent to attest again: it has the newer SVID already.
    return new BonafideError(
      'aborted',
      'the agent SVID that opened this watch stream was replaced; open one with the newer SVID',
    );
  }
  return undefined;
}

export function expired(): BonafideError {
  return new BonafideError('agent_expired', 'the agent SVID that opened this watch stream has expired');
}

export function replaced(): BonafideError {
  return new BonafideError('aborted', 'the agent opened another watch stream, which replaces this one');
}

export function stopping(): BonafideError {
  return new BonafideError(
    'unavailable',
    'the server is stopping; another one of this trust domain may serve',
    {
      retryAfterMs: retryAfterMs(Math.random()),
    },
  );
}
