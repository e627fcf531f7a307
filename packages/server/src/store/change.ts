/** What a committed transaction changed, by name; followers look the present state up, so replaying is harmless. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export type Change =
  | EntryChange
  | NodeChange
  | { readonly kind: 'bundle'; readonly trustDomain: TrustDomain }
  | { readonly kind: 'authority'; readonly authorityId: string }
  | { readonly kind: 'federation'; readonly trustDomain: TrustDomain }
  /** An operator asked for a proof of the node. */
  | { readonly kind: 'node_proof'; readonly agentId: SpiffeId }
  /**
   * Anything may differ. In the log in place of more changes than one revision names; told without a row of it when the log no longer
   * reaches back to what the follower saw last, or went back in time.
   */
  | { readonly kind: 'everything' };

export interface EntryChange {
  readonly kind: 'entry';
  readonly entryId: string;
  /** Of the entry before and after, each once: who went by it, and where it hung. Absent in the log of an earlier release. */
  readonly spiffeIds?: readonly SpiffeId[];
  readonly parentIds?: readonly SpiffeId[];
  /** With which it federates or did. */
  readonly trustDomains?: readonly TrustDomain[];
}

interface NodeChange {
  readonly kind: 'node';
  readonly agentId: SpiffeId;
  /**
   * `reset`: it came, went, was banned, put into quarantine or pardoned; `selectors`: those changed; `renewed`: nothing that says what it may hold. Absent in
   * the log of an earlier release.
   */
  readonly effect?: 'reset' | 'selectors' | 'renewed';
}
