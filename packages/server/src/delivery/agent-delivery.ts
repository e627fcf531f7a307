/** How far a revision has come with one agent. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export type AgentDelivery =
  { readonly kind: 'delivered'; readonly agentId: SpiffeId } | BehindAgent | OfflineAgent;

/** In touch with a server, and has not said that it applied the revision. */
interface BehindAgent {
  readonly kind: 'behind';
  readonly agentId: SpiffeId;
  /** The newest it has applied; 0: none. */
  readonly appliedRevision: number;
  /** Of the server that it is in touch with. */
  readonly serverId: string;
}

/** In touch with no server. */
export interface OfflineAgent {
  readonly kind: 'offline';
  readonly agentId: SpiffeId;
  readonly since: Date;
  /** False: nothing was heard of it since then, and when it was last in touch is not known. */
  readonly isExact: boolean;
}
