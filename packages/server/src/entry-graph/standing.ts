/** How an entry stands to an agent: whether the agent may have it now, and if not, what keeps it away. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryIndex } from './entry-index.js';
import type { GraphEntry, GraphName } from './graph-entry.js';
import type { NodeIndex } from './node-index.js';
import { isReached } from './reach.js';

export type Standing =
  | 'authorized'
  /** It would be authorized, and is meant for a store of SVIDs: no caller of the Workload API gets it. */
  | 'stores_svid'
  /** It was authorized until it expired. */
  | 'expired'
  /** It was authorized until an entry above it expired. */
  | 'parent_expired'
  /** It gives its ID to nodes. */
  | 'node_alias'
  /** No agent has its parent ID, and no entry. */
  | 'unknown_parent'
  | 'other_parent';

/** What is true of all entries under one parent ID. */
interface ParentStanding {
  readonly isReached: boolean;
  /** As if nothing had ever expired. */
  readonly wasReached: boolean;
  readonly isKnown: boolean;
}

/** How entries stand to one agent at one time: of those under one parent ID, only the first costs a climb. Good until the graph changes. */
export class Standings {
  readonly #entries: EntryIndex;
  readonly #nodes: NodeIndex;
  readonly #agentId: SpiffeId;
  readonly #nowMs: number;
  readonly #parents = new Map<GraphName, ParentStanding>();

  constructor(entries: EntryIndex, nodes: NodeIndex, agentId: SpiffeId, nowMs: number) {
    this.#entries = entries;
    this.#nodes = nodes;
    this.#agentId = agentId;
    this.#nowMs = nowMs;
  }

  of(entry: GraphEntry): Standing {
    if (entry.isAlias) return 'node_alias';
    const { isKnown, isReached, wasReached } = this.#ofParent(entry.parent);
    const isLive = entry.isLive(this.#nowMs);
    if (isReached && isLive) return entry.terms.storesSvid ? 'stores_svid' : 'authorized';
    if (wasReached) return isLive ? 'parent_expired' : 'expired';
    return isKnown ? 'other_parent' : 'unknown_parent';
  }

  #ofParent(parent: GraphName): ParentStanding {
    const known = this.#parents.get(parent);
    if (known !== undefined) return known;
    const reaches = (nowMs: number): boolean =>
      isReached(this.#entries, this.#nodes, this.#agentId, parent, nowMs);
    const reachedNow = reaches(this.#nowMs);
    const standing = {
      isReached: reachedNow,
      wasReached: reachedNow || reaches(-Infinity),
      isKnown: this.#nodes.has(parent.id) || parent.firstBearer !== undefined,
    };
    this.#parents.set(parent, standing);
    return standing;
  }
}
