/** Federation relationships as the store keeps them: those made through the API, never those of the configuration file. */
import type { FederationRelationship } from '@bonafide/shared/bundle/federation-relationship';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Page, PageRequest } from './store.js';

export interface FederationReader {
  get(trustDomain: TrustDomain): Promise<FederationRelationship | undefined>;
  /** Ordered by trust domain. */
  list(page: PageRequest): Promise<Page<FederationRelationship>>;
}

export interface FederationWriter {
  /** Creates or replaces. */
  put(relationship: FederationRelationship): Promise<void>;
  /** @throws BonafideError `not_found`. */
  delete(trustDomain: TrustDomain): Promise<void>;
}
