/** The API: each service with what its calls need. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import { RateLimits } from '../access/rate-limits.js';
import { createAgentHandlers } from '../api/agent.js';
import { createBundleHandlers } from '../api/bundle.js';
import { createDebugHandlers } from '../api/debug.js';
import { createDeliveryHandlers } from '../api/delivery.js';
import { createEntryHandlers } from '../api/entry.js';
import { AgentPolls } from '../api/request/agent-polls.js';
import { FirstMessages } from '../api/request/first-messages.js';
import { createHealthHandlers } from '../api/health.js';
import type { HealthState } from '../api/health-state.js';
import { createLocalAuthorityHandlers } from '../api/local-authority.js';
import { createLoggerHandlers } from '../api/logger.js';
import { createNodeAdmissionHandlers } from '../api/node-admission.js';
import { createNodeProofHandlers } from '../api/node-proof.js';
import { createSvidHandlers } from '../api/svid.js';
import { createSyncHandlers } from '../api/sync.js';
import { createTpmEnrollmentHandlers } from '../api/tpm-enrollment.js';
import { createTrustDomainHandlers } from '../api/trust-domain.js';
import type { ServerConfig } from '../configuration/server-config.js';
import type { ApiHandlers } from '../endpoints/api-server.js';
import { TpmEnrollments } from '../node-attestation/tpm/tpm-enrollments.js';
import { OwnBundle } from '../trust-bundle/own-bundle.js';
import { TokenAuthorityPublication } from '../trust-bundle/publish-token-authority.js';
import type { Delivery } from './delivery.js';
import type { Federation } from './federation.js';
import type { Admission } from './node-admission.js';
import type { NodeProving } from './node-proofs.js';
import type { Registry } from './registry.js';
import type { Signing } from './signing.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

interface HandlerParts {
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

export function createHandlers(
  { config: { server }, clock, log }: Startup,
  { storage, signing, registry, delivery, federation, health, telemetry, proving, admission }: HandlerParts,
): ApiHandlers {
  const trustDomain = server.trust_domain;
  const { store, graph } = storage;
  const { upstream, authorities, issuers, agentIssuer, serverSvid } = signing;
  const { agents, agentTtlSeconds, registration, watchStreams } = registry;
  const rateLimits = createRateLimits(server, clock);
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
      issuers,
      rateLimits,
      authorities,
      clock,
      defaultAuthorityTtlSeconds: server.ca_ttl,
      defaultTtlSeconds: { x509: server.default_x509_svid_ttl, jwt: server.default_jwt_svid_ttl },
      largestBatch: Math.max(LARGEST_BATCH, server.ratelimit.signing_per_second),
    }),
    'spire.api.server.trustdomain.v1.TrustDomain': createTrustDomainHandlers({
      relationships: federation.relationships,
      refresh: federation.refresh,
    }),
    'bonafide.attestation.v1.TpmEnrollment': createTpmEnrollmentHandlers(
      new TpmEnrollments({ trustDomain, store, clock, audit: telemetry.audit }),
    ),
    'bonafide.attestation.v1.NodeAdmission': createNodeAdmissionHandlers({
      ...{ trustDomain, graph, admissions: admission.admissions },
      ...{ states: proving.states, quarantine: proving.quarantine },
    }),
    'bonafide.attestation.v1.NodeProof': createNodeProofHandlers({ proofs: proving.proofs, firstMessages }),
    'bonafide.sync.v1.Delivery': createDeliveryHandlers(delivery.waits),
    'bonafide.sync.v1.Sync': createSyncHandlers({ watchStreams, agents, firstMessages }),
    'grpc.health.v1.Health': createHealthHandlers(health),
  };
}

function createRateLimits(
  { ratelimit, trusted_proxies: trustedProxies }: ServerConfig['server'],
  clock: Clock,
): RateLimits {
  return new RateLimits({
    clock,
    perSecond: {
      attestation: ratelimit.attestation ? ratelimit.attestation_per_second : undefined,
      signing: ratelimit.signing ? ratelimit.signing_per_second : undefined,
      status: ratelimit.status_per_second,
    },
    trustedProxies,
  });
}
