/** Other entries that the same processes earn: the same SPIFFE ID twice, another one beside it, or the same hint. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { formatSelector, isSubset } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { EntryGraph } from '../entry-graph/entry-graph.js';

export interface RelatedEntry {
  readonly kind: 'duplicate' | 'also_gives' | 'same_hint';
  readonly entry: RegistrationEntry;
  /** Of two with the same hint, the one that the processes are given. */
  readonly servedEntryId: string | undefined;
  /** On which both apply. */
  readonly agentId: SpiffeId;
}

const MOST_AGENTS = 5;
const MOST_RELATED = 20;

export function relatedEntries(
  entry: RegistrationEntry,
  agentIds: readonly SpiffeId[],
  graph: Pick<EntryGraph, 'authorizedEntries'>,
): readonly RelatedEntry[] {
  const selectors = new Set(entry.selectors.map(formatSelector));
  const found = new Map<string, RelatedEntry>();
  for (const agentId of agentIds.slice(0, MOST_AGENTS)) {
    for (const other of graph.authorizedEntries(agentId)) {
      if (found.size === MOST_RELATED) return [...found.values()];
      if (other.id === entry.id || found.has(other.id)) continue;
      if (!isSubset(new Set(other.selectors.map(formatSelector)), selectors)) continue;
      found.set(other.id, related(entry, other, agentId));
    }
  }
  return [...found.values()];
}

function related(entry: RegistrationEntry, other: RegistrationEntry, agentId: SpiffeId): RelatedEntry {
  if (entry.hint !== undefined && entry.hint === other.hint) {
    // Agents give the older one, as SPIRE's do.
    const [first] = [entry, other].sort(
      (a, b) => a.createdAt.getTime() - b.createdAt.getTime() || (a.id < b.id ? -1 : 1),
    );
    return { kind: 'same_hint', entry: other, servedEntryId: first?.id, agentId };
  }
  const kind = other.spiffeId === entry.spiffeId ? 'duplicate' : 'also_gives';
  return { kind, entry: other, servedEntryId: undefined, agentId };
}
