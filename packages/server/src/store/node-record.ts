/** Attested nodes as the store keeps them: one row for each agent that ever attested and was not deleted. */
import type { MatchBehavior, Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Page, PageRequest } from './store.js';

/** Something about a node that policy does not allow, or that an operator said of it. */
export interface NodeFinding {
  readonly kind: 'pcr' | 'secure_boot' | 'firmware' | 'boot_log' | 'ima' | 'unproven' | 'policy' | 'operator';
  /** One sentence that names what differs. */
  readonly text: string;
  /** Of `pcr`. */
  readonly bank?: string | undefined;
  readonly pcr?: number | undefined;
  /** What was, and what is; of `pcr` digests in lower-case hex. */
  readonly before?: string | undefined;
  readonly after?: string | undefined;
  /** The event of the boot log that differs: its number and what it says of itself. */
  readonly event?: string | undefined;
}

/** While it lasts the agent may hold nothing; an operator ends it. */
export interface Quarantine {
  readonly since: Date;
  readonly findings: readonly NodeFinding[];
}

/** What was noted of a node when it last proved itself, beside its row, for it changes often and nobody is told. */
export interface NodeProofRecord {
  readonly agentId: SpiffeId;
  /** Undefined: never since it attested. */
  readonly provenAt: Date | undefined;
  /** An operator asked for a proof; undefined once it came. */
  readonly requestedAt: Date | undefined;
  /** JSON, between the attestor and itself; undefined: it is to begin anew. */
  readonly record: string | undefined;
}

export interface NodeProofReader {
  get(agentId: SpiffeId): Promise<NodeProofRecord | undefined>;
  getMany(agentIds: readonly SpiffeId[]): Promise<readonly NodeProofRecord[]>;
  /**
   * The nodes proved at those times that nothing about them changed: without a revision, for nobody is told. A later time stays, and so does
   * a request that was made later; an agent that is gone is passed over.
   */
  touch(provenAt: ReadonlyMap<SpiffeId, Date>): Promise<void>;
}

export interface NodeProofWriter {
  get(agentId: SpiffeId): Promise<NodeProofRecord | undefined>;
  /** Creates or replaces the whole row. A new request is told to every server. */
  put(record: NodeProofRecord): Promise<void>;
  /** Nothing happens when there is none. */
  delete(agentId: SpiffeId): Promise<void>;
}

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
  readonly quarantine: Quarantine | undefined;
  readonly canReattest: boolean;
  readonly agentVersion: string | undefined;
}

export interface NodeFilter {
  readonly attestationType?: string | undefined;
  readonly selectors?: { readonly named: readonly Selector[]; readonly match: MatchBehavior } | undefined;
  readonly isBanned?: boolean | undefined;
  readonly canReattest?: boolean | undefined;
  readonly expiresBefore?: Date | undefined;
  /** Only these agents: an ID, or all that begin with a text that ends in a slash. None of them is no agent at all. */
  readonly among?: readonly string[] | undefined;
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
