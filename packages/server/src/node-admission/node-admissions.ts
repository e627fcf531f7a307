/** Nodes that were never here before and wait until an operator lets them in. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Page, PageRequest } from '../store/store.js';

export interface PendingNode {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  readonly selectors: readonly Selector[];
  readonly firstAskedAt: Date;
  readonly lastAskedAt: Date;
  /** When the request, or the decision about it, is forgotten. */
  readonly expiresAt: Date;
  readonly state: 'pending' | 'approved' | 'denied';
  readonly decisions: readonly NodeDecision[];
  /** How many different people have to approve. */
  readonly approvalsNeeded: number;
  /** From which the node asked last. */
  readonly address: string;
}

interface NodeDecision {
  readonly by: string;
  readonly isApproval: boolean;
  readonly at: Date;
  readonly reason: string;
}

export interface DecidedNode {
  readonly agentId: SpiffeId;
  readonly by: string;
  readonly reason: string;
}

export interface NodeAdmissions {
  /** Ordered by agent ID. */
  list(page: PageRequest): Promise<Page<PendingNode>>;
  /** @throws BonafideError `not_found` for a node that does not wait. */
  approve(decision: DecidedNode): Promise<PendingNode>;
  /** @throws BonafideError `not_found` for a node that does not wait. */
  deny(decision: DecidedNode): Promise<PendingNode>;
}

/** Where no attestor asks for approval: nobody waits. */
export const noApprovals: NodeAdmissions = {
  list: () => Promise.resolve({ items: [], nextPageToken: undefined }),
  approve: ({ agentId }) => Promise.reject(notWaiting(agentId)),
  deny: ({ agentId }) => Promise.reject(notWaiting(agentId)),
};

function notWaiting(agentId: SpiffeId): BonafideError {
  return new BonafideError('not_found', `${agentId} does not wait to be let in`);
}
