/** Which entries our server would give an agent, by the indexes that it answers from. */
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { serverId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { EntryIndex } from '../entry-graph/entry-index.js';
import { NodeIndex } from '../entry-graph/node-index.js';
import { authorizedEntries } from '../entry-graph/reach.js';
import type { CompactEntry } from '../store/entry-record.js';
import type { AttestedNode } from '../store/node-record.js';

export class OurAuthorization {
  readonly #entries: EntryIndex;
  readonly #nodes = new NodeIndex();
  readonly #nowMs: number;

  constructor(
    entries: readonly RegistrationEntry[],
    nodes: readonly AttestedNode[],
    trustDomain: TrustDomain,
    now: Date,
  ) {
    this.#entries = new EntryIndex(serverId(trustDomain));
    this.#nowMs = now.getTime();
    for (const entry of entries) this.#entries.put(compactOf(entry));
    for (const node of nodes) this.#nodes.put(node);
  }

  /** Ids. */
  of(agentId: SpiffeId): ReadonlySet<string> {
    const found = authorizedEntries(this.#entries, this.#nodes, agentId, this.#nowMs);
    return new Set(found.map(({ id }) => id));
  }
}

function compactOf({
  id,
  spiffeId,
  parentId,
  expiresAt,
  createdAt,
  revisionNumber,
  ...terms
}: RegistrationEntry): CompactEntry {
  return {
    id,
    spiffeId,
    parentId,
    terms,
    expiresAt: expiresAt?.getTime(),
    createdAt: createdAt.getTime(),
    revisionNumber,
  };
}
