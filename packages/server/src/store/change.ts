/** What a committed transaction changed, by name; followers look the present state up, so replaying is harmless. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export type Change =
  | { readonly kind: 'entry'; readonly entryId: string }
  | { readonly kind: 'node'; readonly agentId: SpiffeId }
  | { readonly kind: 'bundle'; readonly trustDomain: TrustDomain }
  | { readonly kind: 'authority'; readonly authorityId: string }
  | { readonly kind: 'federation'; readonly trustDomain: TrustDomain };
