/** What a server tells of its registry over its API. */
import type { FederationRelationship } from '@bonafide/shared/bundle/federation-relationship';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { AttestedNode } from '../store/node-record.js';

export interface ListedRegistry {
  readonly bundle: TrustBundle;
  readonly federatedBundles: readonly TrustBundle[];
  readonly relationships: readonly FederationRelationship[];
  readonly entries: readonly RegistrationEntry[];
  readonly nodes: readonly AttestedNode[];
}
