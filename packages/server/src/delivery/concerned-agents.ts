/** Which agents a committed revision concerns: those whose entries it may have changed, and those that follow a bundle that it changed. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { mayHold } from '../entry-graph/apply-change.js';
import type { GraphChange } from '../entry-graph/graph-change.js';
import type { AttestedNode } from '../store/node-record.js';

/** What happened before, and after which revision it is complete. */
export interface EarlierChanges {
  readonly since: number;
  readonly changes: readonly GraphChange[];
}

/** The part of the entry graph that it takes. */
export interface AgentDirectory {
  readonly revision: number;
  node(agentId: SpiffeId): Pick<AttestedNode, 'isBanned' | 'quarantine'> | undefined;
  /** The agents that are told of the trust domain's bundle: of our own, all of them. */
  agentsFollowing(trustDomain: TrustDomain): Iterable<SpiffeId>;
  subscribe(listener: (change: GraphChange) => void): () => void;
}

interface RememberedChange {
  readonly revision: number;
  readonly agents: readonly (readonly SpiffeId[])[];
  readonly bundles: readonly TrustDomain[];
}

const MAX_CHANGES = 10_000;
/** Names of agents remembered in all; the graph's own arrays, so that each costs 8 bytes at most. */
const MAX_NAMES = 1_000_000;

export class ConcernedAgents {
  readonly #graph: AgentDirectory;
  readonly #trustDomain: TrustDomain;
  readonly #unsubscribe: () => void;
  readonly #arrivals = new Set<() => void>();
  /** From the oldest to the newest, without gaps after `#since`. */
  #changes: RememberedChange[] = [];
  #first = 0;
  #names = 0;
  #since: number;

  /** @param trustDomain our own. @param earlier up to what the graph holds now. */
  constructor(graph: AgentDirectory, trustDomain: TrustDomain, earlier?: EarlierChanges) {
    this.#graph = graph;
    this.#trustDomain = trustDomain;
    this.#since = earlier?.since ?? graph.revision;
    for (const change of earlier?.changes ?? []) this.#remember(change);
    this.#unsubscribe = graph.subscribe((change) => {
      this.#remember(change);
      for (const arrived of [...this.#arrivals]) arrived();
    });
  }

  stop(): void {
    this.#unsubscribe();
  }

  /** Whether the agent is one that changes have to reach. */
  isReached(agentId: SpiffeId): boolean {
    const node = this.#graph.node(agentId);
    return node !== undefined && mayHold(node);
  }

  /** Calls after each change that the graph takes in. */
  onArrival(listener: () => void): () => void {
    this.#arrivals.add(listener);
    return () => {
      this.#arrivals.delete(listener);
    };
  }

  isToCome(revision: number): boolean {
    return revision > this.#graph.revision;
  }

  /**
   * As the registry is now: an agent that was banned or deleted since then is not among them.
   * @throws BonafideError `not_found` for a revision that is forgotten or still to come.
   */
  of(revision: number): ReadonlySet<SpiffeId> {
    const { agents, bundles } = this.#changeWith(revision);
    const concerned = new Set<SpiffeId>();
    for (const list of agents) for (const agentId of list) concerned.add(agentId);
    for (const trustDomain of bundles) {
      for (const agentId of this.#graph.agentsFollowing(trustDomain)) concerned.add(agentId);
    }
    return this.#reached(concerned);
  }

  everyone(): ReadonlySet<SpiffeId> {
    return this.#reached(new Set(this.#graph.agentsFollowing(this.#trustDomain)));
  }

  #reached(agentIds: Set<SpiffeId>): ReadonlySet<SpiffeId> {
    for (const agentId of agentIds) if (!this.isReached(agentId)) agentIds.delete(agentId);
    return agentIds;
  }

  #changeWith(revision: number): RememberedChange {
    const newest = this.#graph.revision;
    if (revision > newest) {
      throw new BonafideError('not_found', `revision ${revision} is still to come; the newest is ${newest}`);
    }
    // Several revisions may have been taken in as one: the first change at or after it.
    const change = revision <= this.#since ? undefined : this.#changes[this.#indexOf(revision)];
    if (change !== undefined) return change;
    throw new BonafideError(
      'not_found',
      `whom revision ${revision} concerned is forgotten; this server remembers the changes after revision ${this.#since}`,
    );
  }

  #indexOf(revision: number): number {
    let low = this.#first;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle]?.revision ?? 0) >= revision) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #remember(change: GraphChange): void {
    const { revision, bundles } = change;
    if (change.isReload) {
      // What changed is not known, so neither is whom it concerned.
      this.#changes = [];
      this.#first = 0;
      this.#names = 0;
      this.#since = revision;
      return;
    }
    const agents = change.reaches.map((reach) => reach.agents);
    this.#changes.push({ revision, agents, bundles });
    this.#names += namesIn(agents);
    while (this.#changes.length - this.#first > MAX_CHANGES || this.#names > MAX_NAMES) {
      const oldest = this.#changes[this.#first];
      if (oldest === undefined) break;
      this.#names -= namesIn(oldest.agents);
      this.#since = oldest.revision;
      this.#first += 1;
    }
    if (this.#first > MAX_CHANGES) {
      this.#changes = this.#changes.slice(this.#first);
      this.#first = 0;
    }
  }
}

function namesIn(agents: RememberedChange['agents']): number {
  return agents.reduce((sum, list) => sum + list.length, 1);
}
