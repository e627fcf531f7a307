/** Who may call what: every RPC this server serves, and nothing else. The compiler refuses a table that misses one. */
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { CallerKind } from './caller.js';
import type { AllowedCallers } from './identify-caller.js';

export const SERVED_SERVICES = [
  'spire.api.server.agent.v1.Agent',
  'spire.api.server.bundle.v1.Bundle',
  'spire.api.server.debug.v1.Debug',
  'spire.api.server.entry.v1.Entry',
  'spire.api.server.localauthority.v1.LocalAuthority',
  'spire.api.server.logger.v1.Logger',
  'spire.api.server.svid.v1.SVID',
  'spire.api.server.trustdomain.v1.TrustDomain',
  'bonafide.access.v1.Access',
  'bonafide.attestation.v1.TpmEnrollment',
  'bonafide.attestation.v1.NodeAdmission',
  'bonafide.attestation.v1.NodeProof',
  'bonafide.debug.v1.Snapshots',
  'bonafide.entry.v1.WorkloadExplanation',
  'bonafide.entry.v1.EntryExplanation',
  'bonafide.entry.v1.EntryPlan',
  'bonafide.entry.v1.SelectorSightings',
  'bonafide.sync.v1.Delivery',
  'bonafide.sync.v1.Sync',
  'grpc.health.v1.Health',
] as const;

export type ServedService = (typeof SERVED_SERVICES)[number];

/** Methods by name, without the index signature that grpc-js gives every set of handlers. */
type MethodsOf<Service extends ServedService> = keyof {
  [Name in keyof Handlers<Service> as string extends Name ? never : number extends Name ? never : Name]: true;
};
type RpcPath = { [S in ServedService]: `/${S}/${MethodsOf<S> & string}` }[ServedService];

type Kinds = readonly CallerKind[];

const LOCAL = ['local_admin'] as const satisfies Kinds;
const OPERATORS = ['local_admin', 'admin'] as const satisfies Kinds;
/** Within their roles: rpc-scopes.ts says how. */
const SCOPED_TOO = ['local_admin', 'admin', 'scoped_admin'] as const satisfies Kinds;
const OPERATORS_AND_AGENTS = ['local_admin', 'admin', 'agent'] as const satisfies Kinds;
const AGENTS = ['agent'] as const satisfies Kinds;
/** What a node proves counts whatever is held against it. */
const ALL_AGENTS = ['agent', 'quarantined_agent'] as const satisfies Kinds;
const DOWNSTREAMS = ['downstream'] as const satisfies Kinds;

/** SPIRE's defaults; health is open to load balancers too. */
export const RPC_CALLERS = {
  '/bonafide.access.v1.Access/ListRoles': SCOPED_TOO,
  '/bonafide.access.v1.Access/ExplainAccess': SCOPED_TOO,

  '/bonafide.attestation.v1.TpmEnrollment/EnrollTpm': OPERATORS,
  '/bonafide.attestation.v1.TpmEnrollment/ListEnrolledTpms': OPERATORS,
  '/bonafide.attestation.v1.TpmEnrollment/RemoveEnrolledTpm': OPERATORS,
  '/bonafide.attestation.v1.TpmEnrollment/ReplaceTpm': OPERATORS,
  '/bonafide.attestation.v1.TpmEnrollment/RekeyTpm': OPERATORS,
  '/bonafide.attestation.v1.TpmEnrollment/GetBaseline': OPERATORS,

  '/bonafide.attestation.v1.NodeAdmission/GetNodeState': OPERATORS,
  '/bonafide.attestation.v1.NodeAdmission/RequestProof': OPERATORS,
  '/bonafide.attestation.v1.NodeAdmission/QuarantineAgent': OPERATORS,
  '/bonafide.attestation.v1.NodeAdmission/ReleaseAgent': OPERATORS,
  '/bonafide.attestation.v1.NodeAdmission/ListQuarantinedAgents': OPERATORS,
  '/bonafide.attestation.v1.NodeAdmission/ListPendingNodes': OPERATORS,
  '/bonafide.attestation.v1.NodeAdmission/ApproveNode': OPERATORS,
  '/bonafide.attestation.v1.NodeAdmission/DenyNode': OPERATORS,
  '/bonafide.attestation.v1.NodeProof/Prove': ALL_AGENTS,

  '/bonafide.debug.v1.Snapshots/TakeSnapshot': LOCAL,
  '/bonafide.debug.v1.Snapshots/ProfileCpu': LOCAL,
  '/bonafide.debug.v1.Snapshots/WriteHeap': LOCAL,

  '/bonafide.entry.v1.WorkloadExplanation/ExplainWorkload': AGENTS,

  '/bonafide.entry.v1.EntryExplanation/ExplainEntry': SCOPED_TOO,
  '/bonafide.entry.v1.SelectorSightings/ReportSightings': AGENTS,
  '/bonafide.entry.v1.EntryPlan/PlanEntries': SCOPED_TOO,
  '/bonafide.entry.v1.EntryPlan/ApplyEntries': SCOPED_TOO,
  '/bonafide.sync.v1.Delivery/WaitForDelivery': SCOPED_TOO,
  '/bonafide.sync.v1.Sync/Watch': AGENTS,

  '/grpc.health.v1.Health/Check': 'anyone',
  '/grpc.health.v1.Health/List': 'anyone',
  '/grpc.health.v1.Health/Watch': 'anyone',

  '/spire.api.server.agent.v1.Agent/CountAgents': SCOPED_TOO,
  '/spire.api.server.agent.v1.Agent/ListAgents': SCOPED_TOO,
  '/spire.api.server.agent.v1.Agent/GetAgent': SCOPED_TOO,
  '/spire.api.server.agent.v1.Agent/DeleteAgent': OPERATORS,
  '/spire.api.server.agent.v1.Agent/BanAgent': OPERATORS,
  '/spire.api.server.agent.v1.Agent/AttestAgent': 'anyone',
  '/spire.api.server.agent.v1.Agent/RenewAgent': AGENTS,
  '/spire.api.server.agent.v1.Agent/PostStatus': AGENTS,
  '/spire.api.server.agent.v1.Agent/CreateJoinToken': OPERATORS,

  '/spire.api.server.bundle.v1.Bundle/GetBundle': 'anyone',
  '/spire.api.server.bundle.v1.Bundle/AppendBundle': OPERATORS,
  '/spire.api.server.bundle.v1.Bundle/PublishJWTAuthority': DOWNSTREAMS,
  '/spire.api.server.bundle.v1.Bundle/PublishWITAuthority': DOWNSTREAMS,
  '/spire.api.server.bundle.v1.Bundle/CountBundles': OPERATORS,
  '/spire.api.server.bundle.v1.Bundle/ListFederatedBundles': OPERATORS,
  '/spire.api.server.bundle.v1.Bundle/GetFederatedBundle': OPERATORS_AND_AGENTS,
  '/spire.api.server.bundle.v1.Bundle/BatchCreateFederatedBundle': OPERATORS,
  '/spire.api.server.bundle.v1.Bundle/BatchUpdateFederatedBundle': OPERATORS,
  '/spire.api.server.bundle.v1.Bundle/BatchSetFederatedBundle': OPERATORS,
  '/spire.api.server.bundle.v1.Bundle/BatchDeleteFederatedBundle': OPERATORS,

  '/spire.api.server.debug.v1.Debug/GetInfo': LOCAL,

  '/spire.api.server.entry.v1.Entry/CountEntries': SCOPED_TOO,
  '/spire.api.server.entry.v1.Entry/ListEntries': SCOPED_TOO,
  '/spire.api.server.entry.v1.Entry/GetEntry': SCOPED_TOO,
  '/spire.api.server.entry.v1.Entry/BatchCreateEntry': SCOPED_TOO,
  '/spire.api.server.entry.v1.Entry/BatchUpdateEntry': SCOPED_TOO,
  '/spire.api.server.entry.v1.Entry/BatchDeleteEntry': SCOPED_TOO,
  '/spire.api.server.entry.v1.Entry/GetAuthorizedEntries': AGENTS,
  '/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries': AGENTS,

  '/spire.api.server.localauthority.v1.LocalAuthority/GetJWTAuthorityState': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/PrepareJWTAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/ActivateJWTAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintJWTAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeJWTAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/GetX509AuthorityState': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/PrepareX509Authority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/ActivateX509Authority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintX509Authority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintX509UpstreamAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeX509Authority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeX509UpstreamAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/GetWITAuthorityState': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/PrepareWITAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/ActivateWITAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/TaintWITAuthority': OPERATORS,
  '/spire.api.server.localauthority.v1.LocalAuthority/RevokeWITAuthority': OPERATORS,

  '/spire.api.server.logger.v1.Logger/GetLogger': LOCAL,
  '/spire.api.server.logger.v1.Logger/SetLogLevel': LOCAL,
  '/spire.api.server.logger.v1.Logger/ResetLogLevel': LOCAL,

  '/spire.api.server.svid.v1.SVID/MintX509SVID': SCOPED_TOO,
  '/spire.api.server.svid.v1.SVID/MintJWTSVID': SCOPED_TOO,
  '/spire.api.server.svid.v1.SVID/MintWITSVID': SCOPED_TOO,
  '/spire.api.server.svid.v1.SVID/BatchNewX509SVID': AGENTS,
  '/spire.api.server.svid.v1.SVID/NewJWTSVID': AGENTS,
  '/spire.api.server.svid.v1.SVID/BatchNewWITSVID': AGENTS,
  '/spire.api.server.svid.v1.SVID/NewDownstreamX509CA': DOWNSTREAMS,

  '/spire.api.server.trustdomain.v1.TrustDomain/ListFederationRelationships': OPERATORS,
  '/spire.api.server.trustdomain.v1.TrustDomain/GetFederationRelationship': OPERATORS,
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchCreateFederationRelationship': OPERATORS,
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchUpdateFederationRelationship': OPERATORS,
  '/spire.api.server.trustdomain.v1.TrustDomain/BatchDeleteFederationRelationship': OPERATORS,
  '/spire.api.server.trustdomain.v1.TrustDomain/RefreshBundle': OPERATORS,
} as const satisfies Record<RpcPath, AllowedCallers>;

const callersByPath: ReadonlyMap<string, AllowedCallers> = new Map(Object.entries(RPC_CALLERS));

/** @throws BonafideError `permission_denied` for a method that is not in the table. */
export function allowedCallers(path: string): AllowedCallers {
  const allowed = callersByPath.get(path);
  if (allowed === undefined) {
    throw new BonafideError('permission_denied', `authorization denied for method ${path}`);
  }
  return allowed;
}
