/** The API: each service with what its calls need. */
import { createSnapshotHandlers } from '@bonafide/shared/rpc/snapshot-service';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { callContext } from '../access/call-context.js';
import { RateLimits, type ConfiguredRates } from '../access/rate-limits.js';
import { createAccessHandlers } from '../api/access.js';
import { createAgentHandlers } from '../api/agent.js';
import { createBundleHandlers } from '../api/bundle.js';
import { createDebugHandlers } from '../api/debug.js';
import { createDeliveryHandlers } from '../api/delivery.js';
import { createEntryHandlers } from '../api/entry.js';
import { createEntryExplanationHandlers } from '../api/entry-explanation.js';
import { createEntryPlanHandlers } from '../api/entry-plan.js';
import { AgentPolls } from '../api/request/agent-polls.js';
import { FirstMessages } from '../api/request/first-messages.js';
import { createHealthHandlers } from '../api/health.js';
import type { HealthState } from '../api/health-state.js';
import { createLocalAuthorityHandlers } from '../api/local-authority.js';
import { createLoggerHandlers } from '../api/logger.js';
import { createNodeAdmissionHandlers } from '../api/node-admission.js';
import { createNodeProofHandlers } from '../api/node-proof.js';
import { createSelectorSightingsHandlers } from '../api/selector-sightings.js';
import { createSvidHandlers } from '../api/svid.js';
import { createSyncHandlers } from '../api/sync.js';
import { createTpmEnrollmentHandlers } from '../api/tpm-enrollment.js';
import { createTrustDomainHandlers } from '../api/trust-domain.js';
import { createWorkloadExplanationHandlers } from '../api/workload-explanation.js';
import type { ServerConfig } from '../configuration/server-config.js';
import type { ApiHandlers } from '../endpoints/api-server.js';
import { EntryExplanations } from '../entry-explanation/entry-explanations.js';
import { EntryPlans } from '../entry-plan/entry-plans.js';
import { TpmEnrollments } from '../node-attestation/tpm/tpm-enrollments.js';
import { OwnBundle } from '../trust-bundle/own-bundle.js';
import { TokenAuthorityPublication } from '../trust-bundle/publish-token-authority.js';
import { WorkloadExplanations, type Disclosure } from '../workload-explanation/workload-explanations.js';
import type { Access } from './access.js';
import type { Delivery } from './delivery.js';
import type { Federation } from './federation.js';
import type { Admission } from './node-admission.js';
import type { NodeProving } from './node-proofs.js';
import type { Registry } from './registry.js';
import type { Signing } from './signing.js';
import { createSnapshots } from './snapshots.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

interface HandlerParts {
  readonly access: Access;
  readonly storage: Storage;
  readonly signing: Signing;
  readonly registry: Registry;
  readonly delivery: Delivery;
  readonly federation: Federation;
  readonly health: HealthState;
  readonly telemetry: Telemetry;
  readonly proving: NodeProving;
  readonly admission: Admission;
}

const LARGEST_BATCH = 500;

export function createHandlers(startup: Startup, parts: HandlerParts): ApiHandlers {
  const { config, clock, live, log } = startup;
  const { access, storage, signing, registry, delivery, federation, health } = parts;
  const { telemetry, proving, admission } = parts;
  const { server } = config;
  const trustDomain = server.trust_domain;
  const { store, graph } = storage;
  const { upstream, authorities, issuers, agentIssuer, serverSvid } = signing;
  const { agents, agentTtlSeconds, registration, watchStreams } = registry;
  const rateLimits = createRateLimits(server, clock, telemetry);
  live?.add({
    name: 'rate limits',
    keys: ['server.ratelimit', 'server.trusted_proxies'],
    prepare: (next) => {
      const rates = configuredRates(next.server);
      return () => {
        rateLimits.replace(rates);
      };
    },
  });
  const firstMessages = new FirstMessages(clock);
  return {
    'spire.api.server.agent.v1.Agent': createAgentHandlers({
      trustDomain,
      attestors: proving.attestors,
      issuer: agentIssuer,
      store,
      agentTtlSeconds,
      notices: telemetry.notices,
      admission: admission.gate,
      clock,
      agents,
      rateLimits,
    }),
    'spire.api.server.bundle.v1.Bundle': createBundleHandlers({
      trustDomain,
      store,
      graph,
      ownBundle: new OwnBundle({ store, trustDomain }),
      federatedBundles: federation.bundles,
      publication: new TokenAuthorityPublication({ trustDomain, store, clock, upstream }),
      rateLimits,
    }),
    'spire.api.server.debug.v1.Debug': createDebugHandlers({
      trustDomain,
      graph,
      serverChain: () => serverSvid.current().certificateChain,
      clock,
    }),
    'spire.api.server.entry.v1.Entry': createEntryHandlers({
      ...{ trustDomain, registration, graph, firstMessages },
      receipts: delivery.agents,
      polls: new AgentPolls(clock),
    }),
    'spire.api.server.localauthority.v1.LocalAuthority': createLocalAuthorityHandlers(authorities),
    'spire.api.server.logger.v1.Logger': createLoggerHandlers(log),
    'spire.api.server.svid.v1.SVID': createSvidHandlers({
      trustDomain,
      graph,
      entries: store.entries,
      issuers,
      rateLimits,
      authorities,
      clock,
      defaultAuthorityTtlSeconds: server.ca_ttl,
      defaultTtlSeconds: () => ({
        x509: access.defaultTtls.x509Seconds,
        jwt: access.defaultTtls.jwtSeconds,
      }),
      largestBatch: Math.max(LARGEST_BATCH, server.ratelimit.signing_per_second),
    }),
    'spire.api.server.trustdomain.v1.TrustDomain': createTrustDomainHandlers({
      relationships: federation.relationships,
      refresh: federation.refresh,
    }),
    'bonafide.access.v1.Access': createAccessHandlers({ trustDomain, ...access }),
    'bonafide.attestation.v1.TpmEnrollment': createTpmEnrollmentHandlers(
      new TpmEnrollments({ trustDomain, store, clock, audit: telemetry.audit }),
    ),
    'bonafide.attestation.v1.NodeAdmission': createNodeAdmissionHandlers({
      ...{ trustDomain, graph, admissions: admission.admissions },
      ...{ states: proving.states, quarantine: proving.quarantine },
    }),
    'bonafide.attestation.v1.NodeProof': createNodeProofHandlers({ proofs: proving.proofs, firstMessages }),
    'bonafide.debug.v1.Snapshots': createSnapshotHandlers(createSnapshots(startup, parts), callContext),
    'bonafide.entry.v1.EntryExplanation': createEntryExplanationHandlers(
      new EntryExplanations({
        ...{ store, graph, trustDomain, clock },
        ...{ receipts: delivery.agents, concerned: delivery.concerned },
      }),
      clock,
    ),
    'bonafide.entry.v1.SelectorSightings': createSelectorSightingsHandlers({
      sightings: registry.sightings,
      rateLimits,
    }),
    'bonafide.entry.v1.EntryPlan': createEntryPlanHandlers({
      ...{ trustDomain, clock },
      plans: new EntryPlans({ store, graph, trustDomain, clock }),
    }),
    'bonafide.entry.v1.WorkloadExplanation': createWorkloadExplanationHandlers({
      explanations: new WorkloadExplanations({
        ...{ graph, clock, receipts: delivery.agents },
        disclosure: liveDisclosure(server, live),
      }),
      rateLimits,
    }),
    'bonafide.sync.v1.Delivery': createDeliveryHandlers(delivery.waits),
    'bonafide.sync.v1.Sync': createSyncHandlers({ watchStreams, agents, firstMessages }),
    'grpc.health.v1.Health': createHealthHandlers(health),
  };
}

function liveDisclosure(server: ServerConfig['server'], live: Startup['live']): () => Disclosure {
  let disclosure = server.explain_to_agents;
  live?.add({
    name: 'what agents are told of entries',
    keys: ['server.explain_to_agents'],
    prepare: (next) => () => {
      disclosure = next.server.explain_to_agents;
    },
  });
  return () => disclosure;
}

function createRateLimits(
  server: ServerConfig['server'],
  clock: Clock,
  { metrics: { upkeep } }: Telemetry,
): RateLimits {
  return new RateLimits({
    clock,
    ...configuredRates(server),
    onRefused: upkeep.rateLimited.bind(upkeep),
  });
}

function configuredRates({
  ratelimit,
  trusted_proxies: trustedProxies,
}: ServerConfig['server']): ConfiguredRates {
  return {
    perSecond: {
      attestation: ratelimit.attestation ? ratelimit.attestation_per_second : undefined,
      signing: ratelimit.signing ? ratelimit.signing_per_second : undefined,
      status: ratelimit.status_per_second,
    },
    trustedProxies,
  };
}
