/** Is told what agents hold, as they say. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';

export interface ReceiptsListener {
  /** @param revision what the agent holds by its cursor; 0 for nothing. */
  streamOpened(agentId: SpiffeId, revision: number): void;
  streamClosed(agentId: SpiffeId): void;
  acknowledged(agentId: SpiffeId, revision: number): void;
  /** What it held counts no more. */
  forget(agentId: SpiffeId): void;
}
