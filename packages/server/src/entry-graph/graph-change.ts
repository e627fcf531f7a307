/** What a committed revision means for agents: the outcome of following a change outward through the entry graph. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { LogPosition } from '../store/store.js';

export interface GraphChange {
  /** The graph now holds everything up to here. */
  readonly revision: number;
  /** The commits that are in it, oldest first; the last one is the graph's position. */
  readonly commits: readonly LogPosition[];
  /** What came between is not known: everything was read again, anything may differ, and the rest of this says nothing. */
  readonly isReload: boolean;
  readonly reaches: readonly EntryReach[];
  /** Nodes that were attested, renewed, banned, deleted or otherwise written. */
  readonly nodes: readonly SpiffeId[];
  /** Those of them that came, went, or were banned or pardoned: what they held before says nothing about what they may hold. */
  readonly resets: readonly SpiffeId[];
  readonly bundles: readonly TrustDomain[];
}

/** Each of these agents may have gained, lost or seen change each of these entries; what is true now is asked of the graph. */
export interface EntryReach {
  readonly agents: readonly SpiffeId[];
  readonly entryIds: readonly string[];
  /** Foreign trust domains that the entries name or named: the agents may need their bundle, or need it no more. */
  readonly trustDomains: readonly TrustDomain[];
}
