/** The table of services: full name, file under proto/, and the generated types of its client, handlers and definition. */
import type {
  SpiffeWorkloadAPIClient as WorkloadClient,
  SpiffeWorkloadAPIDefinition as WorkloadDefinition,
  SpiffeWorkloadAPIHandlers as WorkloadHandlers,
} from './gen/SpiffeWorkloadAPI.js';
import type {
  APIClient as BrokerClient,
  APIDefinition as BrokerDefinition,
  APIHandlers as BrokerHandlers,
} from './gen/spiffe/broker/API.js';
import type {
  SecretDiscoveryServiceClient,
  SecretDiscoveryServiceDefinition,
  SecretDiscoveryServiceHandlers,
} from './gen/envoy/service/secret/v3/SecretDiscoveryService.js';
import type { HealthClient, HealthDefinition, HealthHandlers } from './gen/grpc/health/v1/Health.js';
import type { AccessClient, AccessDefinition, AccessHandlers } from './gen/bonafide/access/v1/Access.js';
import type {
  NodeAdmissionClient,
  NodeAdmissionDefinition,
  NodeAdmissionHandlers,
} from './gen/bonafide/attestation/v1/NodeAdmission.js';
import type {
  NodeProofClient,
  NodeProofDefinition,
  NodeProofHandlers,
} from './gen/bonafide/attestation/v1/NodeProof.js';
import type {
  TpmEnrollmentClient,
  TpmEnrollmentDefinition,
  TpmEnrollmentHandlers,
} from './gen/bonafide/attestation/v1/TpmEnrollment.js';
import type { ExplainClient, ExplainDefinition, ExplainHandlers } from './gen/bonafide/agent/v1/Explain.js';
import type {
  SelfExplainClient,
  SelfExplainDefinition,
  SelfExplainHandlers,
} from './gen/bonafide/agent/v1/SelfExplain.js';
import type {
  SurvivalClient,
  SurvivalDefinition,
  SurvivalHandlers,
} from './gen/bonafide/agent/v1/Survival.js';
import type {
  SnapshotsClient,
  SnapshotsDefinition,
  SnapshotsHandlers,
} from './gen/bonafide/debug/v1/Snapshots.js';
import type {
  EntryExplanationClient,
  EntryExplanationDefinition,
  EntryExplanationHandlers,
} from './gen/bonafide/entry/v1/EntryExplanation.js';
import type {
  EntryPlanClient,
  EntryPlanDefinition,
  EntryPlanHandlers,
} from './gen/bonafide/entry/v1/EntryPlan.js';
import type {
  SelectorSightingsClient,
  SelectorSightingsDefinition,
  SelectorSightingsHandlers,
} from './gen/bonafide/entry/v1/SelectorSightings.js';
import type {
  WorkloadExplanationClient,
  WorkloadExplanationDefinition,
  WorkloadExplanationHandlers,
} from './gen/bonafide/entry/v1/WorkloadExplanation.js';
import type {
  DeliveryClient,
  DeliveryDefinition,
  DeliveryHandlers,
} from './gen/bonafide/sync/v1/Delivery.js';
import type { SyncClient, SyncDefinition, SyncHandlers } from './gen/bonafide/sync/v1/Sync.js';
import type { AgentClient, AgentDefinition, AgentHandlers } from './gen/spire/api/server/agent/v1/Agent.js';
import type {
  BundleClient,
  BundleDefinition,
  BundleHandlers,
} from './gen/spire/api/server/bundle/v1/Bundle.js';
import type {
  DebugClient as ServerDebugClient,
  DebugDefinition as ServerDebugDefinition,
  DebugHandlers as ServerDebugHandlers,
} from './gen/spire/api/server/debug/v1/Debug.js';
import type { EntryClient, EntryDefinition, EntryHandlers } from './gen/spire/api/server/entry/v1/Entry.js';
import type {
  LocalAuthorityClient,
  LocalAuthorityDefinition,
  LocalAuthorityHandlers,
} from './gen/spire/api/server/localauthority/v1/LocalAuthority.js';
import type {
  LoggerClient as ServerLoggerClient,
  LoggerDefinition as ServerLoggerDefinition,
  LoggerHandlers as ServerLoggerHandlers,
} from './gen/spire/api/server/logger/v1/Logger.js';
import type { SVIDClient, SVIDDefinition, SVIDHandlers } from './gen/spire/api/server/svid/v1/SVID.js';
import type {
  TrustDomainClient,
  TrustDomainDefinition,
  TrustDomainHandlers,
} from './gen/spire/api/server/trustdomain/v1/TrustDomain.js';
import type {
  DebugClient as AgentDebugClient,
  DebugDefinition as AgentDebugDefinition,
  DebugHandlers as AgentDebugHandlers,
} from './gen/spire/agent/debug/v1/Debug.js';
import type {
  DelegatedIdentityClient,
  DelegatedIdentityDefinition,
  DelegatedIdentityHandlers,
} from './gen/spire/api/agent/delegatedidentity/v1/DelegatedIdentity.js';
import type {
  LoggerClient as AgentLoggerClient,
  LoggerDefinition as AgentLoggerDefinition,
  LoggerHandlers as AgentLoggerHandlers,
} from './gen/spire/api/agent/logger/v1/Logger.js';

export const SERVICES = {
  SpiffeWorkloadAPI: 'spiffe/workload/workload.proto',
  'spiffe.broker.API': 'spiffe/broker/broker.proto',
  'envoy.service.secret.v3.SecretDiscoveryService': 'envoy/service/secret/v3/sds.proto',
  'grpc.health.v1.Health': 'grpc/health/v1/health.proto',
  'bonafide.access.v1.Access': 'bonafide/access/v1/access.proto',
  'bonafide.agent.v1.Explain': 'bonafide/agent/v1/explain.proto',
  'bonafide.agent.v1.SelfExplain': 'bonafide/agent/v1/explain.proto',
  'bonafide.agent.v1.Survival': 'bonafide/agent/v1/survival.proto',
  'bonafide.attestation.v1.NodeAdmission': 'bonafide/attestation/v1/admission.proto',
  'bonafide.attestation.v1.NodeProof': 'bonafide/attestation/v1/proof.proto',
  'bonafide.attestation.v1.TpmEnrollment': 'bonafide/attestation/v1/tpm.proto',
  'bonafide.debug.v1.Snapshots': 'bonafide/debug/v1/snapshots.proto',
  'bonafide.entry.v1.EntryExplanation': 'bonafide/entry/v1/entry_explanation.proto',
  'bonafide.entry.v1.EntryPlan': 'bonafide/entry/v1/entry_plan.proto',
  'bonafide.entry.v1.SelectorSightings': 'bonafide/entry/v1/selector_sightings.proto',
  'bonafide.entry.v1.WorkloadExplanation': 'bonafide/entry/v1/workload_explanation.proto',
  'bonafide.sync.v1.Delivery': 'bonafide/sync/v1/delivery.proto',
  'bonafide.sync.v1.Sync': 'bonafide/sync/v1/sync.proto',
  'spire.api.server.agent.v1.Agent': 'spire/api/server/agent/v1/agent.proto',
  'spire.api.server.bundle.v1.Bundle': 'spire/api/server/bundle/v1/bundle.proto',
  'spire.api.server.debug.v1.Debug': 'spire/api/server/debug/v1/debug.proto',
  'spire.api.server.entry.v1.Entry': 'spire/api/server/entry/v1/entry.proto',
  'spire.api.server.localauthority.v1.LocalAuthority':
    'spire/api/server/localauthority/v1/localauthority.proto',
  'spire.api.server.logger.v1.Logger': 'spire/api/server/logger/v1/logger.proto',
  'spire.api.server.svid.v1.SVID': 'spire/api/server/svid/v1/svid.proto',
  'spire.api.server.trustdomain.v1.TrustDomain': 'spire/api/server/trustdomain/v1/trustdomain.proto',
  'spire.agent.debug.v1.Debug': 'spire/api/agent/debug/v1/debug.proto',
  'spire.api.agent.delegatedidentity.v1.DelegatedIdentity':
    'spire/api/agent/delegatedidentity/v1/delegatedidentity.proto',
  'spire.api.agent.logger.v1.Logger': 'spire/api/agent/logger/v1/logger.proto',
} as const satisfies Record<keyof ServiceTypes, string>;

/** For example `spire.api.server.entry.v1.Entry`. */
export type ServiceName = keyof typeof SERVICES;

export interface ServiceTypes {
  readonly SpiffeWorkloadAPI: Service<WorkloadClient, WorkloadHandlers, WorkloadDefinition>;
  readonly 'spiffe.broker.API': Service<BrokerClient, BrokerHandlers, BrokerDefinition>;
  readonly 'envoy.service.secret.v3.SecretDiscoveryService': Service<
    SecretDiscoveryServiceClient,
    SecretDiscoveryServiceHandlers,
    SecretDiscoveryServiceDefinition
  >;
  readonly 'grpc.health.v1.Health': Service<HealthClient, HealthHandlers, HealthDefinition>;
  readonly 'bonafide.access.v1.Access': Service<AccessClient, AccessHandlers, AccessDefinition>;
  readonly 'bonafide.agent.v1.Explain': Service<ExplainClient, ExplainHandlers, ExplainDefinition>;
  readonly 'bonafide.agent.v1.SelfExplain': Service<
    SelfExplainClient,
    SelfExplainHandlers,
    SelfExplainDefinition
  >;
  readonly 'bonafide.agent.v1.Survival': Service<SurvivalClient, SurvivalHandlers, SurvivalDefinition>;
  readonly 'bonafide.attestation.v1.NodeAdmission': Service<
    NodeAdmissionClient,
    NodeAdmissionHandlers,
    NodeAdmissionDefinition
  >;
  readonly 'bonafide.attestation.v1.NodeProof': Service<
    NodeProofClient,
    NodeProofHandlers,
    NodeProofDefinition
  >;
  readonly 'bonafide.attestation.v1.TpmEnrollment': Service<
    TpmEnrollmentClient,
    TpmEnrollmentHandlers,
    TpmEnrollmentDefinition
  >;
  readonly 'bonafide.debug.v1.Snapshots': Service<SnapshotsClient, SnapshotsHandlers, SnapshotsDefinition>;
  readonly 'bonafide.entry.v1.EntryExplanation': Service<
    EntryExplanationClient,
    EntryExplanationHandlers,
    EntryExplanationDefinition
  >;
  readonly 'bonafide.entry.v1.EntryPlan': Service<EntryPlanClient, EntryPlanHandlers, EntryPlanDefinition>;
  readonly 'bonafide.entry.v1.SelectorSightings': Service<
    SelectorSightingsClient,
    SelectorSightingsHandlers,
    SelectorSightingsDefinition
  >;
  readonly 'bonafide.entry.v1.WorkloadExplanation': Service<
    WorkloadExplanationClient,
    WorkloadExplanationHandlers,
    WorkloadExplanationDefinition
  >;
  readonly 'bonafide.sync.v1.Delivery': Service<DeliveryClient, DeliveryHandlers, DeliveryDefinition>;
  readonly 'bonafide.sync.v1.Sync': Service<SyncClient, SyncHandlers, SyncDefinition>;
  readonly 'spire.api.server.agent.v1.Agent': Service<AgentClient, AgentHandlers, AgentDefinition>;
  readonly 'spire.api.server.bundle.v1.Bundle': Service<BundleClient, BundleHandlers, BundleDefinition>;
  readonly 'spire.api.server.debug.v1.Debug': Service<
    ServerDebugClient,
    ServerDebugHandlers,
    ServerDebugDefinition
  >;
  readonly 'spire.api.server.entry.v1.Entry': Service<EntryClient, EntryHandlers, EntryDefinition>;
  readonly 'spire.api.server.localauthority.v1.LocalAuthority': Service<
    LocalAuthorityClient,
    LocalAuthorityHandlers,
    LocalAuthorityDefinition
  >;
  readonly 'spire.api.server.logger.v1.Logger': Service<
    ServerLoggerClient,
    ServerLoggerHandlers,
    ServerLoggerDefinition
  >;
  readonly 'spire.api.server.svid.v1.SVID': Service<SVIDClient, SVIDHandlers, SVIDDefinition>;
  readonly 'spire.api.server.trustdomain.v1.TrustDomain': Service<
    TrustDomainClient,
    TrustDomainHandlers,
    TrustDomainDefinition
  >;
  readonly 'spire.agent.debug.v1.Debug': Service<AgentDebugClient, AgentDebugHandlers, AgentDebugDefinition>;
  readonly 'spire.api.agent.delegatedidentity.v1.DelegatedIdentity': Service<
    DelegatedIdentityClient,
    DelegatedIdentityHandlers,
    DelegatedIdentityDefinition
  >;
  readonly 'spire.api.agent.logger.v1.Logger': Service<
    AgentLoggerClient,
    AgentLoggerHandlers,
    AgentLoggerDefinition
  >;
}

interface Service<Client, Handlers, Definition> {
  readonly client: Client;
  readonly handlers: Handlers;
  readonly definition: Definition;
}
