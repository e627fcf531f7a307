/** spire.api.server.trustdomain.v1.TrustDomain: federation relationships, not offered yet. */
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { unimplemented } from './unimplemented.js';

const WHAT = 'managing federation relationships';

export function createTrustDomainHandlers(): Handlers<'spire.api.server.trustdomain.v1.TrustDomain'> {
  return {
    ListFederationRelationships: unimplemented(WHAT),
    GetFederationRelationship: unimplemented(WHAT),
    BatchCreateFederationRelationship: unimplemented(WHAT),
    BatchUpdateFederationRelationship: unimplemented(WHAT),
    BatchDeleteFederationRelationship: unimplemented(WHAT),
    RefreshBundle: unimplemented('refreshing a federated bundle'),
  };
}
