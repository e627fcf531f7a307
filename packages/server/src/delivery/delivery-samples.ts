/** A registry by hand for tests of deliveries. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { GraphChange } from '../entry-graph/graph-change.js';
import type { AttestedNode } from '../store/node-record.js';
import type { AgentDirectory } from './concerned-agents.js';

/** The part of the registry that matters here, changed by hand. */
export class ScriptedDirectory implements AgentDirectory {
  revision = 10;
  readonly nodes = new Map<SpiffeId, Pick<AttestedNode, 'isBanned' | 'quarantine'>>();
  readonly federating = new Set<SpiffeId>();
  readonly #listeners = new Set<(change: GraphChange) => void>();
  readonly #trustDomain: TrustDomain;

  constructor(trustDomain: TrustDomain) {
    this.#trustDomain = trustDomain;
  }

  node(agentId: SpiffeId): Pick<AttestedNode, 'isBanned' | 'quarantine'> | undefined {
    return this.nodes.get(agentId);
  }

  agentsFollowing(of: TrustDomain): Iterable<SpiffeId> {
    return of === this.#trustDomain ? this.nodes.keys() : this.federating;
  }

  subscribe(listener: (change: GraphChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @returns its revision. */
  commit(change: Partial<GraphChange> & { readonly agents?: readonly SpiffeId[] }, revisions = 1): number {
    this.revision += revisions;
    const { agents = [], ...rest } = change;
    const reaches = agents.length === 0 ? [] : [{ agents, entryIds: ['e'], trustDomains: [] }];
    const told = { commits: [], isReload: false, reaches, nodes: [], resets: [], bundles: [], ...rest };
    for (const listener of this.#listeners) listener({ ...told, revision: this.revision });
    return this.revision;
  }
}
