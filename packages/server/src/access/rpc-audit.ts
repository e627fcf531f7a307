/** What the audit log calls each RPC. `read`: it neither changes nor issues anything, and is told of only when it is denied. */
import type { AuditEventName } from '../audit/audit-events.js';
import type { RPC_CALLERS } from './rpc-callers.js';

type RpcPath = keyof typeof RPC_CALLERS;

export type RpcAudit = AuditEventName | 'read';

/** The compiler refuses a table that misses an RPC. */
export const RPC_AUDIT = {
  '/bonafide.access.v1.Access/ListRoles': 'read',
  '/bonafide.access.v1.Access/ExplainAccess': 'read',

  '/bonafide.attestation.v1.TpmEnrollment/EnrollTpm': 'tpm_enrolled',
  '/bonafide.attestation.v1.TpmEnrollment/ListEnrolledTpms': 'read',
  '/bonafide.attestation.v1.TpmEnrollment/RemoveEnrolledTpm': 'tpm_removed',
  '/bonafide.attestation.v1.TpmEnrollment/ReplaceTpm': 'tpm_replaced',
  '/bonafide.attestation.v1.TpmEnrollment/RekeyTpm': 'tpm_rekeyed',
  '/bonafide.attestation.v1.TpmEnrollment/GetBaseline': 'read',

  '/bonafide.attestation.v1.NodeAdmission/GetNodeState': 'read',
  '/bonafide.attestation.v1.NodeAdmission/RequestProof': 'proof_requested',
  '/bonafide.attestation.v1.NodeAdmission/QuarantineAgent': 'agent_quarantined',
  '/bonafide.attestation.v1.NodeAdmission/ReleaseAgent': 'agent_released',
  '/bonafide.attestation.v1.NodeAdmission/ListQuarantinedAgents': 'read',
  '/bonafide.attestation.v1.NodeAdmission/ListPendingNodes': 'read',
  '/bonafide.attestation.v1.NodeAdmission/ApproveNode': 'node_approved',
  '/bonafide.attestation.v1.NodeAdmission/DenyNode': 'node_denied',
  '/bonafide.attestation.v1.NodeProof/Prove': 'node_proven',

  '/bonafide.debug.v1.Snapshots/TakeSnapshot': 'snapshot_taken',
  '/bonafide.debug.v1.Snapshots/ProfileCpu': 'cpu_profiled',
  '/bonafide.debug.v1.Snapshots/WriteHeap': 'heap_written',

  '/bonafide.entry.v1.WorkloadExplanation/ExplainWorkload': 'read',

  '/bonafide.entry.v1.EntryExplanation/ExplainEntry': 'read',
  // What agents have seen: a hint for those who look after entries, which gives nobody anything.
  '/bonafide.entry.v1.SelectorSightings/ReportSightings': 'read',
  '/bonafide.entry.v1.EntryPlan/PlanEntries': 'read',
  '/bonafide.entry.v1.EntryPlan/ApplyEntries': 'entries_applied',
  '/bonafide.sync.v1.Delivery/WaitForDelivery': 'read',
  '/bonafide.sync.v1.Sync/Watch': 'read',

  '/grpc.health.v1.Health/Check': 'read',
  '/grpc.health.v1.Health/List': 'read',
  '/grpc.health.v1.Health/Watch': 'read',

  '/spire.api.server.agent.v1.Agent/CountAgents': 'read',
  '/spire.api.server.agent.v1.Agent/ListAgents': 'read',
  '/spire.api.server.agent.v1.Agent/GetAgent': 'read',
  '/spire.api.server.agent.v1.Agent/DeleteAgent': 'agent_deleted',
  '/spire.api.server.agent.v1.Agent/BanAgent': 'agent_banned',
  '/spire.api.server.agent.v1.Agent/AttestAgent': 'agent_attested',
  '/spire.api.server.agent.v1.Agent/RenewAgent': 'agent_renewed',
  '/spire.api.server.agent.v1.Agent/PostStatus': 'agent_status_posted',
  '/spire.api.server.agent.v1.Agent/CreateJoinToken': 'join_token_created',

  '/spire.api.server.bundle.v1.Bundle/GetBundle': 'read',
  '/spire.api.server.bundle.v1.Bundle/AppendBundle': 'bundle_appended',
  '/spire.api.server.bundle.v1.Bundle/PublishJWTAuthority': 'token_authority_published',
  '/spire.api.server.bundle.v1.Bundle/PublishWITAuthority': 'token_authority_published',
  '/spire.api.server.bundle.v1.Bundle/CountBundles': 'read',
  '/spire.api.server.bundle.v1.Bundle/ListFederatedBundles': 'read',
  '/spire.api.server.bundle.v1.Bundle/GetFederatedBundle': 'read',
  '/spire.api.server.bundle.v1.Bundle/BatchCreateFederatedBundle': 'federated_bundle_created',
  '/spire.api.server.bundle.v1.Bundle/BatchUpdateFederatedBundle': 'federated_bundle_updated',
  '/spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle': 'federated_bundle_set',
  '/spire.api.server.bundle.v1.Bundle/BatchDeleteFederatedBundle': 'federated_bundle_deleted',

  '/spire.api.server.debug.v1.Debug/GetInfo': 'read',

  '/spire.api.server.entry.v1.Entry/CountEntries': 'read',
  '/spire.api.server.entry.v1.Entry/ListEntries': 'read',
  '/spire.api.server.entry.v1.Entry/GetEntry': 'read',
  '/spire.api.server.entry.v1.Entry/BatchCreateEntry': 'entry_created',
  '/spire.api.server.entry.v1.Entry/BatchUpdateEntry': 'entry_updated',
  '/spire.api.server.entry.v1.Entry/BatchDeleteEntry': 'entry_deleted',
  '/spire.api.server.entry.v1.Entry/GetAuthorizedEntries': 'read',
  '/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries': 'read',

  '/spire.api.server.localauthority.v1.LocalAuthority/GetJWTAuthorityState': 'read',
  '/spire.api.server.localauthority.v1.LocalAuthority/PrepareJWTAuthority': 'authority_prepared',
  '/spire.api.server.localauthority.v1.LocalAuthority/ActivateJWTAuthority': 'authority_activated',
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintJWTAuthority': 'authority_tainted',
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeJWTAuthority': 'authority_revoked',
  '/spire.api.server.localauthority.v1.LocalAuthority/GetX509AuthorityState': 'read',
  '/spire.api.server.localauthority.v1.LocalAuthority/PrepareX509Authority': 'authority_prepared',
  '/spire.api.server.localauthority.v1.LocalAuthority/ActivateX509Authority': 'authority_activated',
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintX509Authority': 'authority_tainted',
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintX509UpstreamAuthority':
    'upstream_authority_tainted',
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeX509Authority': 'authority_revoked',
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeX509UpstreamAuthority':
    'upstream_authority_revoked',
  '/spire.api.server.localauthority.v1.LocalAuthority/GetWITAuthorityState': 'read',
  '/spire.api.server.localauthority.v1.LocalAuthority/PrepareWITAuthority': 'authority_prepared',
  '/spire.api.server.localauthority.v1.LocalAuthority/ActivateWITAuthority': 'authority_activated',
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintWITAuthority': 'authority_tainted',
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeWITAuthority': 'authority_revoked',

  '/spire.api.server.logger.v1.Logger/GetLogger': 'read',
  '/spire.api.server.logger.v1.Logger/SetLogLevel': 'log_level_changed',
  '/spire.api.server.logger.v1.Logger/ResetLogLevel': 'log_level_changed',

  '/spire.api.server.svid.v1.SVID/MintX509SVID': 'x509_svid_minted',
  '/spire.api.server.svid.v1.SVID/MintJWTSVID': 'jwt_svid_minted',
  '/spire.api.server.svid.v1.SVID/MintWITSVID': 'wit_svid_minted',
  '/spire.api.server.svid.v1.SVID/BatchNewX509SVID': 'x509_svid_issued',
  '/spire.api.server.svid.v1.SVID/NewJWTSVID': 'jwt_svid_issued',
  '/spire.api.server.svid.v1.SVID/BatchNewWITSVID': 'wit_svid_issued',
  '/spire.api.server.svid.v1.SVID/NewDownstreamX509CA': 'downstream_authority_issued',

  '/spire.api.server.trustdomain.v1.TrustDomain/ListFederationRelationships': 'read',
  '/spire.api.server.trustdomain.v1.TrustDomain/GetFederationRelationship': 'read',
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchCreateFederationRelationship':
    'federation_relationship_created',
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchUpdateFederationRelationship':
    'federation_relationship_updated',
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchDeleteFederationRelationship':
    'federation_relationship_deleted',
  '/spire.api.server.trustdomain.v1.TrustDomain/RefreshBundle': 'bundle_refreshed',
} as const satisfies Record<RpcPath, RpcAudit>;

const byPath: ReadonlyMap<string, RpcAudit> = new Map(Object.entries(RPC_AUDIT));

/** A method that is in no table is refused at the gate. */
export function auditOf(path: string): RpcAudit {
  return byPath.get(path) ?? 'read';
}
