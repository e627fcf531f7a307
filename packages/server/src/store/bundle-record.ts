/** Trust bundles as the store keeps them: our own and those of federated trust domains. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Page, PageRequest } from './store.js';

export interface BundleReader {
  get(trustDomain: TrustDomain): Promise<TrustBundle | undefined>;
  /** Ordered by trust domain. */
  list(page: PageRequest): Promise<Page<TrustBundle>>;
  count(): Promise<number>;
}

export interface BundleWriter {
  /** Creates or replaces. */
  put(bundle: TrustBundle): Promise<void>;
  /** @throws BonafideError `not_found`. */
  delete(trustDomain: TrustDomain): Promise<void>;
}
