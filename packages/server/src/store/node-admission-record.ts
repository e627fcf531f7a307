/** Nodes that asked to be let in, as the store keeps them: a row for each agent ID, until it is let in or the request is forgotten. */
import type { Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Page, PageRequest } from './store.js';

export interface NodeDecision {
  /** As the audit log names callers, or `webhook`. */
  readonly by: string;
  readonly isApproval: boolean;
  readonly at: Date;
  /** Empty when none was given. */
  readonly reason: string;
}

export interface NodeAdmissionRecord {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  readonly selectors: readonly Selector[];
  /** From which it asked last. */
  readonly address: string;
  readonly firstAskedAt: Date;
  readonly lastAskedAt: Date;
  /** From then on it is as if it had never been. */
  readonly expiresAt: Date;
  /** In the order in which they were made. */
  readonly decisions: readonly NodeDecision[];
}

export interface NodeAdmissionReader {
  get(agentId: SpiffeId): Promise<NodeAdmissionRecord | undefined>;
  /** Ordered by agent ID; those that have not expired. */
  list(now: Date, page: PageRequest): Promise<Page<NodeAdmissionRecord>>;
  /** Of all, also those that have expired and were not deleted yet. */
  count(): Promise<number>;
  countExpired(now: Date): Promise<number>;
}

export interface NodeAdmissionWriter {
  /** Creates or replaces the whole row. */
  put(record: NodeAdmissionRecord): Promise<void>;
  /** Nothing happens when there is none. */
  delete(agentId: SpiffeId): Promise<void>;
  deleteExpired(now: Date): Promise<void>;
}
