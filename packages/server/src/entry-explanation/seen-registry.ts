/** The registry as the one who asks may see it: entries and agents outside of a scope are not there. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AccessScope } from '../access/scope.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { AttestedNode } from '../store/node-record.js';
import type { SelectorSighting } from '../store/selector-sighting-record.js';

export class SeenRegistry {
  readonly #graph: EntryGraph;
  readonly #scope: AccessScope | undefined;

  constructor(graph: EntryGraph, scope: AccessScope | undefined) {
    this.#graph = graph;
    this.#scope = scope;
  }

  entry(id: string): RegistrationEntry | undefined {
    const entry = this.#graph.entry(id);
    return entry !== undefined && this.#seesEntriesOf(entry.spiffeId) ? entry : undefined;
  }

  entriesWithSpiffeId(spiffeId: SpiffeId): readonly RegistrationEntry[] {
    return this.#seesEntriesOf(spiffeId) ? this.#graph.entriesWithSpiffeId(spiffeId) : [];
  }

  authorizedEntries(agentId: SpiffeId): readonly RegistrationEntry[] {
    return this.#graph.authorizedEntries(agentId).filter(({ spiffeId }) => this.#seesEntriesOf(spiffeId));
  }

  node(agentId: SpiffeId): AttestedNode | undefined {
    return this.#seesAgent(agentId) ? this.#graph.node(agentId) : undefined;
  }

  affectedAgents(entry: RegistrationEntry): readonly SpiffeId[] {
    return this.#seen(this.#graph.affectedAgents(entry));
  }

  agentsFollowing(trustDomain: TrustDomain): readonly SpiffeId[] {
    return this.#seen(this.#graph.agentsFollowing(trustDomain));
  }

  /** Of an agent that is seen, or nothing. */
  sighting(sighting: SelectorSighting | undefined): SelectorSighting | undefined {
    return sighting !== undefined && this.#seesAgent(sighting.agentId) ? sighting : undefined;
  }

  #seen(agentIds: readonly SpiffeId[]): readonly SpiffeId[] {
    return this.#scope === undefined ? agentIds : agentIds.filter((agentId) => this.#seesAgent(agentId));
  }

  #seesEntriesOf(spiffeId: SpiffeId): boolean {
    return this.#scope?.mayRead(spiffeId) !== false;
  }

  #seesAgent(agentId: SpiffeId): boolean {
    return this.#scope?.mayReadAgent(agentId) !== false;
  }
}
