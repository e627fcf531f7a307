/** What happened before this server started, from the change log: with it, agents of a restarted server get what they missed and not everything. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { serverId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { EntryReach, GraphChange } from '../entry-graph/graph-change.js';
import type { Change } from '../store/change.js';
import type { CommittedRevision, Store } from '../store/store.js';
import { ChangeHistory, MAX_CHANGES, MAX_NAMES, namesIn } from './change-history.js';

/** What is asked of the graph. */
type PresentGraph = Pick<EntryGraph, 'revision' | 'position' | 'agentsUnder' | 'hasChildren'>;

export interface RecentHistoryOptions {
  readonly store: Pick<Store, 'changesSince'>;
  readonly graph: PresentGraph;
  readonly trustDomain: TrustDomain;
}

/** Small, because a revision may be a batch of a thousand entries. */
const PAGE = 100;
/** In all the revisions that are read: bounds how long the start takes. */
const MAX_READ = 100_000;
const MAX_CATCH_UPS = 100;

/** The history up to the graph's present state, as far back as it can be told for certain. To be used before the graph moves on. */
export async function recentHistory({
  store,
  graph,
  trustDomain,
}: RecentHistoryOptions): Promise<ChangeHistory> {
  const { revision } = graph;
  const revisions = await revisionsBefore(store, revision);
  let last = revision;
  for (let round = 0; round < MAX_CATCH_UPS && last < graph.revision; round += 1) {
    const missing = await store.changesSince(last, PAGE);
    if (missing === undefined) break;
    revisions.push(...missing);
    last = missing.at(-1)?.revision ?? last;
  }
  return rebuild(
    revisions.filter((committed) => committed.revision <= graph.revision),
    graph,
    trustDomain,
  );
}

/** Oldest first, without gaps, up to `newest`; as many as may be of use. */
async function revisionsBefore(
  store: RecentHistoryOptions['store'],
  newest: number,
): Promise<CommittedRevision[]> {
  const pages: (readonly CommittedRevision[])[] = [];
  let read = 0;
  for (let end = newest; end > 0 && end > newest - MAX_CHANGES && read < MAX_READ;) {
    const since = Math.max(0, end - PAGE);
    const page = await store.changesSince(since, end - since);
    // The log does not reach back that far: what is left of it is not worth searching for its end.
    if (page === undefined) break;
    pages.unshift(page);
    for (const { changes } of page) read += 1 + changes.length;
    end = since;
  }
  return pages.flat();
}

/**
 * From the newest to the oldest, through the graph as it is now. That is exact as long as nobody's way to an entry changed in between,
 * so it stops at the first revision that changed one.
 */
function rebuild(
  revisions: readonly CommittedRevision[],
  graph: PresentGraph,
  trustDomain: TrustDomain,
): ChangeHistory {
  const found: GraphChange[] = [];
  const paths = new UnchangedPaths(graph, serverId(trustDomain));
  const agents = new AgentsByParent(graph);
  let since = graph.position;
  if (revisions.at(-1)?.nonce !== since.nonce || since.nonce === '') return new ChangeHistory(since);
  let names = 0;
  for (const committed of [...revisions].reverse()) {
    since = committed;
    if (!paths.take(committed.changes)) break;
    const change = graphChange(committed, agents);
    names += namesIn(change);
    if (names > MAX_NAMES) break;
    found.push(change);
    // What came before the oldest is not known; revisions count from 1 without gaps.
    since = { revision: committed.revision - 1, nonce: '' };
  }
  const history = new ChangeHistory(since);
  for (const change of found.reverse()) history.append(change);
  return history;
}

/** Tells whether the way to each entry that changed was, when it changed, the one that leads to it now. */
class UnchangedPaths {
  readonly #graph: PresentGraph;
  readonly #aliasParent: SpiffeId;
  /** Of the entries that changed in the revisions taken so far, and under what they hung. */
  readonly #changed = new Set<SpiffeId>();
  readonly #parents = new Set<SpiffeId>();

  constructor(graph: PresentGraph, aliasParent: SpiffeId) {
    this.#graph = graph;
    this.#aliasParent = aliasParent;
  }

  /** Goes back by one revision. */
  take(changes: readonly Change[]): boolean {
    for (const change of changes) {
      if (change.kind === 'everything') return false;
      if (change.kind === 'node' && change.effect === undefined) return false;
      if (change.kind !== 'entry') continue;
      const { spiffeIds, parentIds, trustDomains } = change;
      if (spiffeIds === undefined || parentIds === undefined || trustDomains === undefined) return false;
      for (const spiffeId of spiffeIds) this.#changed.add(spiffeId);
      for (const parentId of parentIds) this.#parents.add(parentId);
    }
    return changes.every((change) => change.kind !== 'entry' || this.#isLeaf(change));
  }

  #isLeaf({ spiffeIds = [], parentIds = [] }: Extract<Change, { kind: 'entry' }>): boolean {
    return (
      // What hangs under it, or did, moved with it.
      !spiffeIds.some((spiffeId) => this.#parents.has(spiffeId) || this.#graph.hasChildren(spiffeId)) &&
      // What it hung under has moved since.
      !parentIds.some((parentId) => parentId === this.#aliasParent || this.#changed.has(parentId))
    );
  }
}

/** Found once for each parent: nobody's way changes here. */
class AgentsByParent {
  readonly #graph: PresentGraph;
  readonly #agents = new Map<SpiffeId, readonly SpiffeId[]>();

  constructor(graph: PresentGraph) {
    this.#graph = graph;
  }

  under(parentId: SpiffeId): readonly SpiffeId[] {
    let agents = this.#agents.get(parentId);
    if (agents === undefined) {
      agents = this.#graph.agentsUnder(parentId);
      this.#agents.set(parentId, agents);
    }
    return agents;
  }
}

function graphChange({ revision, nonce, changes }: CommittedRevision, agents: AgentsByParent): GraphChange {
  const reaches: EntryReach[] = [];
  const resets: SpiffeId[] = [];
  const bundles: TrustDomain[] = [];
  for (const change of changes) {
    if (change.kind === 'entry') {
      const { entryId, parentIds = [], trustDomains = [] } = change;
      for (const parentId of parentIds) {
        const reached = agents.under(parentId);
        if (reached.length > 0) reaches.push({ agents: reached, entryIds: [entryId], trustDomains });
      }
    } else if (change.kind === 'node') {
      // Which aliases it gained or lost with its selectors is not known any more.
      if (change.effect !== 'renewed') resets.push(change.agentId);
    } else if (change.kind === 'bundle') bundles.push(change.trustDomain);
  }
  return { revision, commits: [{ revision, nonce }], isReload: false, reaches, nodes: [], resets, bundles };
}
