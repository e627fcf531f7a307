/** Follows entries to the agents that may hold them and back: agent -> entries under its ID and its aliases -> entries under theirs. */
import { isLive, type RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryIndex } from './entry-index.js';
import type { NodeIndex } from './node-index.js';

/** Every entry the agent may have SVIDs for now. An entry that expired takes with it what hangs under it. */
export function authorizedEntries(
  entries: EntryIndex,
  nodes: NodeIndex,
  agentId: SpiffeId,
  now: Date,
): readonly RegistrationEntry[] {
  const found: RegistrationEntry[] = [];
  const parents = new Set([agentId]);
  for (const alias of entries.aliases.of(nodes.selectorsOf(agentId))) {
    if (isLive(alias, now)) parents.add(alias.spiffeId);
  }
  for (const parent of parents) {
    for (const child of entries.childrenOf(parent)) {
      if (!isLive(child, now)) continue;
      found.push(child);
      parents.add(child.spiffeId);
    }
  }
  return found;
}

/** The same for one entry, by climbing from it: its cost is the depth of the tree, not the number of the agent's entries. */
export function isAuthorized(
  entries: EntryIndex,
  nodes: NodeIndex,
  agentId: SpiffeId,
  entry: RegistrationEntry,
  now: Date,
): boolean {
  if (entries.isAlias(entry) || !isLive(entry, now)) return false;
  const selectors = nodes.selectorsOf(agentId);
  const parents = new Set([entry.parentId]);
  for (const parent of parents) {
    if (parent === agentId) return true;
    // Saves the climb to all the other agents when the entry hangs under an ID that they share.
    if (entries.childrenWithSpiffeId(agentId, parent).some((above) => isLive(above, now))) return true;
    for (const above of entries.withSpiffeId(parent)) {
      if (!isLive(above, now)) continue;
      if (!entries.isAlias(above)) parents.add(above.parentId);
      else if (entries.aliases.matches(above, selectors)) return true;
    }
  }
  return false;
}

/**
 * The agents that are given what hangs under `parentId`. Expired entries count as alive here: whom a change may concern is asked,
 * and of two entries that expire together the lower one must not be forgotten.
 */
export function agentsUnder(entries: EntryIndex, nodes: NodeIndex, parentId: SpiffeId): readonly SpiffeId[] {
  const agents = new Set<SpiffeId>();
  const parents = new Set([parentId]);
  for (const parent of parents) {
    if (nodes.has(parent)) agents.add(parent);
    for (const above of entries.withSpiffeId(parent)) {
      if (!entries.isAlias(above)) parents.add(above.parentId);
      else for (const agentId of nodes.withAll(above.selectors)) agents.add(agentId);
    }
  }
  return [...agents];
}
