/** Attested nodes as the store keeps them: one row for each agent that ever attested and was not deleted. */
import type { MatchBehavior, Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Page, PageRequest } from './store.js';

export interface AttestedNode {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  /** Lower-case hex of the agent SVID in use; undefined once banned, as in SPIRE. */
  readonly serialNumber: string | undefined;
  readonly expiresAt: Date;
  /** The renewed SVID that was signed but not yet seen in use; both are current until the agent calls with the new one. */
  readonly nextSerialNumber: string | undefined;
  readonly nextExpiresAt: Date | undefined;
  readonly selectors: readonly Selector[];
  readonly isBanned: boolean;
  readonly canReattest: boolean;
  readonly agentVersion: string | undefined;
}

export interface NodeFilter {
  readonly attestationType?: string | undefined;
  readonly selectors?: { readonly named: readonly Selector[]; readonly match: MatchBehavior } | undefined;
  readonly isBanned?: boolean | undefined;
  readonly canReattest?: boolean | undefined;
  readonly expiresBefore?: Date | undefined;
}

export interface NodeReader {
  get(agentId: SpiffeId): Promise<AttestedNode | undefined>;
  getMany(agentIds: readonly SpiffeId[]): Promise<readonly AttestedNode[]>;
  /** Ordered by agent ID. */
  list(filter: NodeFilter, page: PageRequest): Promise<Page<AttestedNode>>;
  count(filter: NodeFilter): Promise<number>;
  all(): AsyncIterable<readonly AttestedNode[]>;
}

export interface NodeWriter {
  /** Creates or replaces the whole row. */
  put(node: AttestedNode): Promise<void>;
  /** @throws BonafideError `not_found`. */
  delete(agentId: SpiffeId): Promise<void>;
}
