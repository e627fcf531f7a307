/** Follows entries to the agents that may hold them and back: agent -> entries under its ID and its aliases -> entries under theirs. */
import type { Selector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryIndex } from './entry-index.js';
import type { GraphEntry, GraphName } from './graph-entry.js';
import type { NodeIndex } from './node-index.js';

/** Every entry the agent may have SVIDs for now. An entry that expired takes with it what hangs under it. */
export function authorizedEntries(
  entries: EntryIndex,
  nodes: NodeIndex,
  agentId: SpiffeId,
  nowMs: number,
): readonly GraphEntry[] {
  const found: GraphEntry[] = [];
  const own = entries.name(agentId);
  const parents = new Set(own === undefined ? [] : [own]);
  for (const alias of entries.aliases.of(nodes.selectorsOf(agentId))) {
    if (alias.isLive(nowMs)) parents.add(alias.name);
  }
  for (const parent of parents) {
    for (let child = parent.firstChild; child !== undefined; child = child.nextChild) {
      if (!child.isLive(nowMs)) continue;
      found.push(child);
      if (child.name.firstChild !== undefined) parents.add(child.name);
    }
  }
  return found;
}

/** The same for one entry, by climbing from it: its cost is the depth of the tree, not the number of the agent's entries. */
export function isAuthorized(
  entries: EntryIndex,
  nodes: NodeIndex,
  agentId: SpiffeId,
  entry: GraphEntry,
  nowMs: number,
): boolean {
  return !entry.isAlias && entry.isLive(nowMs) && isReached(entries, nodes, agentId, entry.parent, nowMs);
}

/** Whether the agent may have what hangs under the ID. */
export function isReached(
  entries: EntryIndex,
  nodes: NodeIndex,
  agentId: SpiffeId,
  name: GraphName,
  nowMs: number,
): boolean {
  const own = entries.name(agentId);
  let selectors: ReadonlySet<string> | undefined;
  const parents = new Set([name]);
  for (const parent of parents) {
    if (parent === own) return true;
    // Saves the climb to all the other agents when the entry hangs under an ID that they share.
    if (own !== undefined && isHeldThrough(own, parent, nowMs)) return true;
    for (let above = parent.firstBearer; above !== undefined; above = above.nextBearer) {
      if (!above.isLive(nowMs)) continue;
      if (!above.isAlias) {
        parents.add(above.parent);
        continue;
      }
      selectors ??= nodes.selectorsOf(agentId);
      if (entries.aliases.matches(above, selectors)) return true;
    }
  }
  return false;
}

/**
 * Whether an entry under `own` gives the ID `name`. Looks through the shorter of the two lists: a join token's alias hangs under each of
 * a thousand agents, and one agent may have as many children.
 */
function isHeldThrough(own: GraphName, name: GraphName, nowMs: number): boolean {
  const candidates = own.childCount < name.bearerCount ? own.children() : name.bearers();
  for (const each of candidates) {
    if (each.name === name && each.parent === own && !each.isAlias && each.isLive(nowMs)) return true;
  }
  return false;
}

/** Of the entries, who gives which ID: all that it takes to climb to the agents. */
export interface Bearers {
  withSpiffeId(spiffeId: SpiffeId): Iterable<Bearer>;
}

export interface Bearer {
  readonly isAlias: boolean;
  readonly parent: { readonly id: SpiffeId };
  readonly terms: { readonly selectors: readonly Selector[] };
  isLive(nowMs: number): boolean;
}

/**
 * The agents that are given what hangs under any of `parentIds`. Without a time, expired entries count as alive: whom a change may
 * concern is asked, and of two entries that expire together the lower one must not be forgotten.
 */
export function agentsUnder(
  entries: Bearers,
  nodes: Pick<NodeIndex, 'has' | 'withAll'>,
  parentIds: Iterable<SpiffeId>,
  nowMs = -Infinity,
): readonly SpiffeId[] {
  const agents = new Set<SpiffeId>();
  const parents = new Set(parentIds);
  for (const parent of parents) {
    if (nodes.has(parent)) agents.add(parent);
    for (const above of entries.withSpiffeId(parent)) {
      if (!above.isLive(nowMs)) continue;
      if (!above.isAlias) parents.add(above.parent.id);
      else for (const agentId of nodes.withAll(above.terms.selectors)) agents.add(agentId);
    }
  }
  return [...agents];
}
