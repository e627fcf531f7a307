/** Reads the registry from the store into the indexes of the graph: all of it, or what some revisions name. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { serverId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { CommittedRevision, LogPosition, Store } from '../store/store.js';
import type { RegistryUpdate } from './apply-change.js';
import { EntryIndex } from './entry-index.js';
import { NodeIndex } from './node-index.js';

export interface Indexes {
  readonly entries: EntryIndex;
  readonly nodes: NodeIndex;
  readonly bundles: Map<TrustDomain, TrustBundle>;
}

interface Registry extends Indexes {
  /** Everything up to here is in it, and perhaps something of what came since. */
  readonly position: LogPosition;
}

/** Into new indexes. In old ones, entries of two times would stand side by side, and together grant what neither time did. */
export async function readRegistry(store: Store, trustDomain: TrustDomain): Promise<Registry> {
  const position = await store.position();
  const entries = new EntryIndex(serverId(trustDomain));
  const nodes = new NodeIndex();
  const bundles = new Map<TrustDomain, TrustBundle>();
  for await (const batch of store.entries.all()) for (const entry of batch) entries.put(entry);
  for await (const batch of store.nodes.all()) for (const node of batch) nodes.put(node);
  const { items } = await store.bundles.list({ size: 0, token: undefined });
  for (const bundle of items) bundles.set(bundle.trustDomain, bundle);
  return { entries, nodes, bundles, position };
}

/** The present state of everything that the revisions name. */
export async function lookUp(store: Store, revisions: readonly CommittedRevision[]): Promise<RegistryUpdate> {
  const update: RegistryUpdate = { entries: new Map(), nodes: new Map(), bundles: new Map() };
  for (const { changes } of revisions) {
    for (const change of changes) {
      if (change.kind === 'entry') update.entries.set(change.entryId, undefined);
      if (change.kind === 'node') update.nodes.set(change.agentId, undefined);
      if (change.kind === 'bundle') update.bundles.set(change.trustDomain, undefined);
    }
  }
  for (const entry of await store.entries.getMany([...update.entries.keys()])) {
    update.entries.set(entry.id, entry);
  }
  for (const node of await store.nodes.getMany([...update.nodes.keys()])) {
    update.nodes.set(node.agentId, node);
  }
  for (const trustDomain of update.bundles.keys()) {
    update.bundles.set(trustDomain, await store.bundles.get(trustDomain));
  }
  return update;
}
