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
  'bonafide.attestation.v1.TpmEnrollment',
  'bonafide.attestation.v1.NodeAdmission',
  'bonafide.attestation.v1.NodeProof',
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

const LOCAL: readonly CallerKind[] = ['local_admin'];
const OPERATORS: readonly CallerKind[] = ['local_admin', 'admin'];
const OPERATORS_AND_AGENTS: readonly CallerKind[] = ['local_admin', 'admin', 'agent'];
const AGENTS: readonly CallerKind[] = ['agent'];
/** What a node proves counts whatever is held against it. */
const ALL_AGENTS: readonly CallerKind[] = ['agent', 'quarantined_agent'];
const DOWNSTREAMS: readonly CallerKind[] = ['downstream'];

/** SPIRE's defaults; health is open to load balancers too. */
export const RPC_CALLERS = {
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

  '/bonafide.sync.v1.Delivery/WaitForDelivery': OPERATORS,
  '/bonafide.sync.v1.Sync/Watch': AGENTS,

  '/grpc.health.v1.Health/Check': 'anyone',
  '/grpc.health.v1.Health/List': 'anyone',
  '/grpc.health.v1.Health/Watch': 'anyone',

  '/spire.api.server.agent.v1.Agent/CountAgents': OPERATORS,
  '/spire.api.server.agent.v1.Agent/ListAgents': OPERATORS,
  '/spire.api.server.agent.v1.Agent/GetAgent': OPERATORS,
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

  '/spire.api.server.entry.v1.Entry/CountEntries': OPERATORS,
  '/spire.api.server.entry.v1.Entry/ListEntries': OPERATORS,
  '/spire.api.server.entry.v1.Entry/GetEntry': OPERATORS,
  '/spire.api.server.entry.v1.Entry/BatchCreateEntry': OPERATORS,
  '/spire.api.server.entry.v1.Entry/BatchUpdateEntry': OPERATORS,
  '/spire.api.server.entry.v1.Entry/BatchDeleteEntry': OPERATORS,
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

  '/spire.api.server.svid.v1.SVID/MintX509SVID': OPERATORS,
  '/spire.api.server.svid.v1.SVID/MintJWTSVID': OPERATORS,
  '/spire.api.server.svid.v1.SVID/MintWITSVID': OPERATORS,
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
