/** What a Watch stream says of the registry as it is now: all that its agent may know, or the present state of what changed. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WatchCursor, WatchDelta, WatchSnapshotPage } from '@bonafide/shared/sync/watch-message';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import { entryPages } from './entry-pages.js';
import { cursorAt } from './watch-cursor.js';

/** Who is told, and of what. */
export interface Told {
  readonly agentId: SpiffeId;
  readonly logId: string;
  /** Our own, which every agent follows. */
  readonly trustDomain: TrustDomain;
  readonly graph: EntryGraph;
}

export type ToldMessage = WatchSnapshotPage | WatchDelta;

interface Snapshot {
  /** The trust domains whose bundles the agent needs; not every one of them has a bundle. */
  readonly followed: ReadonlySet<TrustDomain>;
  readonly messages: Iterable<ToldMessage>;
}

interface ToldChanges {
  readonly held: WatchCursor;
  readonly entryIds: ReadonlySet<string>;
  /** Of which the bundle or the need of it may have changed. */
  readonly trustDomains: ReadonlySet<TrustDomain>;
  /** Those of them that the agent needs. */
  readonly followed: readonly TrustDomain[];
}

export function snapshotMessages({ agentId, graph, logId, trustDomain }: Told): Snapshot {
  const cursor = cursorAt(logId, graph.position);
  const authorized = graph.authorizedEntries(agentId);
  const followed = new Set([trustDomain]);
  for (const entry of authorized) for (const foreign of entry.federatesWith) followed.add(foreign);
  return { followed, messages: pages(cursor, authorized, bundlesOf(graph, followed)) };
}

function* pages(
  cursor: WatchCursor,
  authorized: readonly RegistrationEntry[],
  bundles: readonly TrustBundle[],
): Generator<ToldMessage, void, undefined> {
  for (const { entries, isLast } of entryPages(authorized)) {
    yield { kind: 'snapshot_page', ...cursor, entries, bundles: isLast ? bundles : [], isLast };
  }
}

/** Of several messages only the last one leads further than what the agent holds. */
export function* changeMessages(
  { agentId, graph, logId }: Told,
  { held, entryIds, trustDomains, followed }: ToldChanges,
): Generator<ToldMessage, void, undefined> {
  const reached = cursorAt(logId, graph.position);
  const upserted: RegistrationEntry[] = [];
  const removed: string[] = [];
  for (const id of entryIds) {
    const entry = graph.authorizedEntry(agentId, id);
    if (entry === undefined) removed.push(id);
    else upserted.push(entry);
  }
  const upsertedBundles = bundlesOf(graph, followed);
  const withBundle = new Set(upsertedBundles.map((bundle) => bundle.trustDomain));
  for (const { entries, isLast } of entryPages(upserted)) {
    yield {
      kind: 'delta',
      ...(isLast ? reached : held),
      upsertedEntries: entries,
      removedEntryIds: isLast ? removed : [],
      upsertedBundles: isLast ? upsertedBundles : [],
      removedBundleTrustDomains: isLast
        ? [...trustDomains].filter((trustDomain) => !withBundle.has(trustDomain))
        : [],
    };
  }
}

function bundlesOf(graph: EntryGraph, trustDomains: Iterable<TrustDomain>): readonly TrustBundle[] {
  return [...trustDomains].flatMap((trustDomain) => graph.bundle(trustDomain) ?? []);
}
