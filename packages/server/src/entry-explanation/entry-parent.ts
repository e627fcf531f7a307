/** Where an entry hangs: at an attested node, under other entries, or nowhere. */
import { isLive, type RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import { serverId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AttestedNode } from '../store/node-record.js';
import type { SeenRegistry } from './seen-registry.js';

export interface EntryParent {
  /** Undefined: the parent ID is of no attested node. */
  readonly node: AttestedNode | undefined;
  /** Those that give the parent ID. */
  readonly entries: readonly ParentEntry[];
}

export interface ParentEntry {
  readonly entry: RegistrationEntry;
  readonly isAlias: boolean;
  readonly isExpired: boolean;
  /** How many agents it leads to. */
  readonly agents: number;
  /** Of a node alias that no node has. */
  readonly near: readonly NearNode[];
}

interface NearNode {
  readonly agentId: SpiffeId;
  readonly missing: readonly Selector[];
}

const MOST_PARENTS = 20;
const MOST_NODES = 10_000;
const MOST_NEAR = 3;

interface ParentContext {
  readonly graph: SeenRegistry;
  readonly trustDomain: TrustDomain;
  readonly now: Date;
}

export function entryParent(parentId: SpiffeId, context: ParentContext): EntryParent {
  const { graph } = context;
  const entries = graph.entriesWithSpiffeId(parentId).slice(0, MOST_PARENTS);
  return { node: graph.node(parentId), entries: entries.map((entry) => parentEntry(entry, context)) };
}

export function parentEntry(
  entry: RegistrationEntry,
  { graph, trustDomain, now }: ParentContext,
): ParentEntry {
  const isAlias = entry.parentId === serverId(trustDomain);
  const agents = graph.affectedAgents(entry).length;
  return {
    entry,
    isAlias,
    isExpired: !isLive(entry, now),
    agents,
    near: isAlias && agents === 0 ? nearNodes(entry.selectors, graph, trustDomain) : [],
  };
}

/** The nodes that lack the fewest of the selectors, and have at least one of them. */
function nearNodes(
  selectors: readonly Selector[],
  graph: SeenRegistry,
  trustDomain: TrustDomain,
): readonly NearNode[] {
  const near: NearNode[] = [];
  for (const agentId of graph.agentsFollowing(trustDomain).slice(0, MOST_NODES)) {
    const held = new Set(graph.node(agentId)?.selectors.map(formatSelector));
    const missing = selectors.filter((selector) => !held.has(formatSelector(selector)));
    if (missing.length < selectors.length) near.push({ agentId, missing });
  }
  return near.sort((a, b) => a.missing.length - b.missing.length).slice(0, MOST_NEAR);
}
