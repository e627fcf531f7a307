/** What the agent counts: calls of others and its own, attestations of processes, SVIDs that are signed for it, proofs of its node. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { RpcClientMetrics, RpcMetrics } from '@bonafide/shared/telemetry/rpc-metrics';
import type { X509SvidSigner } from '../svid-renewal/x509-svid-signer.js';
import type { JwtSvidSigner } from '../token-svids/jwt-svid-signer.js';
import type { WitSvidSigner } from '../token-svids/wit-svid-signer.js';
import type { AttestorFinding, WorkloadAttestation } from '../workload-attestation/attest-workload.js';
import { FileOutputMetrics } from './file-output-metrics.js';

/** `sds` and `delegated_identity` go by the sockets that they are served on. */
const AGENT_LISTENERS = ['workload', 'admin', 'broker'] as const;

const PROOF_RESULTS = ['accepted', 'quarantined', 'failed'] as const;
export type ProofResult = (typeof PROOF_RESULTS)[number];

/** Why a connection was cut before it was served, as `PeerListener` says it. */
const CONNECTION_REFUSALS = ['uid', 'total', 'stranger', 'unidentified', 'accept'] as const;
export type ConnectionRefusal = (typeof CONNECTION_REFUSALS)[number];

const SUCCESS_OR_FAILURE = ['success', 'failure'] as const;
const SIGNING_RESULTS = ['signed', 'refused', 'failed'] as const;
const MOST_ATTESTORS = 32;

export class AgentMetrics {
  readonly registry = new MetricRegistry();
  readonly rpc = new RpcMetrics(this.registry, {
    listeners: AGENT_LISTENERS,
    services: [
      'SpiffeWorkloadAPI',
      'spiffe.broker.API',
      'envoy.service.secret.v3.SecretDiscoveryService',
      'grpc.health.v1.Health',
      'bonafide.agent.v1.Explain',
      'bonafide.agent.v1.SelfExplain',
      'bonafide.agent.v1.Survival',
      'bonafide.debug.v1.Snapshots',
      'spire.agent.debug.v1.Debug',
      'spire.api.agent.delegatedidentity.v1.DelegatedIdentity',
      'spire.api.agent.logger.v1.Logger',
    ],
  });
  readonly client = new RpcClientMetrics(this.registry, [
    'spire.api.server.agent.v1.Agent',
    'spire.api.server.bundle.v1.Bundle',
    'spire.api.server.entry.v1.Entry',
    'spire.api.server.svid.v1.SVID',
    'bonafide.attestation.v1.NodeProof',
    'bonafide.entry.v1.SelectorSightings',
    'bonafide.entry.v1.WorkloadExplanation',
    'bonafide.sync.v1.Sync',
  ]);
  readonly files = new FileOutputMetrics(this.registry);
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #attestations = this.registry.counter(
    'bonafide_agent_workload_attestations_total',
    'Processes that were attested',
    { result: SUCCESS_OR_FAILURE },
  );
  readonly #attestationSeconds = this.registry.histogram(
    'bonafide_agent_workload_attestation_duration_seconds',
    'Attesting a process, all attestors side by side',
    {},
  );
  readonly #attestors = this.registry.counter(
    'bonafide_agent_attestor_calls_total',
    'Processes that an attestor was asked about',
    { attestor: MOST_ATTESTORS, result: SUCCESS_OR_FAILURE },
  );
  readonly #attestorSeconds = this.registry.histogram(
    'bonafide_agent_attestor_duration_seconds',
    'How long an attestor took',
    { attestor: MOST_ATTESTORS },
  );
  readonly #signings = this.registry.counter(
    'bonafide_agent_svid_signings_total',
    'SVIDs that the server was asked for, new ones and renewals',
    { kind: ['x509', 'jwt', 'wit'], result: SIGNING_RESULTS },
  );
  readonly #nodeAttestations = this.registry.counter(
    'bonafide_agent_node_attestations_total',
    'How often this agent attested its node',
    { result: SUCCESS_OR_FAILURE },
  );
  readonly #proofs = this.registry.counter(
    'bonafide_agent_node_proofs_total',
    'Proofs of this node that the server asked for',
    { result: PROOF_RESULTS },
  );
  readonly #refusedConnections = this.registry.counter(
    'bonafide_agent_connections_refused_total',
    'Connections that were cut before they were served, by why',
    { listener: ['workload', 'admin'], why: CONNECTION_REFUSALS },
  );

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  /** The same attestation of the node, counted. */
  meterNodeAttestation<Identity>(
    attest: (signal: AbortSignal) => Promise<Identity>,
  ): (signal: AbortSignal) => Promise<Identity> {
    return async (signal) => {
      try {
        const identity = await attest(signal);
        this.#nodeAttestations.inc({ result: 'success' });
        return identity;
      } catch (error) {
        this.#nodeAttestations.inc({ result: 'failure' });
        throw error;
      }
    };
  }

  /** The same attestation of processes, counted. */
  meterAttestation(attest: WorkloadAttestation): WorkloadAttestation {
    return async (process, call) => {
      const startedAt = this.#clock.monotonicMs();
      try {
        const selectors = await attest(process, call);
        this.#attestations.inc({ result: 'success' });
        return selectors;
      } catch (error) {
        this.#attestations.inc({ result: 'failure' });
        throw error;
      } finally {
        this.#attestationSeconds.observe({}, (this.#clock.monotonicMs() - startedAt) / 1000);
      }
    };
  }

  attestorAnswered({ attestor, durationMs, selectors }: AttestorFinding): void {
    this.#attestors.inc({ attestor, result: selectors === undefined ? 'failure' : 'success' });
    this.#attestorSeconds.observe({ attestor }, durationMs / 1000);
  }

  connectionRefused(listener: 'workload' | 'admin', why: ConnectionRefusal): void {
    this.#refusedConnections.inc({ listener, why });
  }

  nodeProof(result: ProofResult): void {
    this.#proofs.inc({ result });
  }

  meterX509(signer: X509SvidSigner): X509SvidSigner {
    return {
      sign: (requests, secondsLeft, signal) =>
        this.#batch('x509', requests.length, signer.sign(requests, secondsLeft, signal)),
    };
  }

  meterWit(signer: WitSvidSigner): WitSvidSigner {
    return {
      sign: (requests, signal) => this.#batch('wit', requests.length, signer.sign(requests, signal)),
    };
  }

  meterJwt(signer: JwtSvidSigner): JwtSvidSigner {
    return {
      sign: async (request, signal) => {
        try {
          const token = await signer.sign(request, signal);
          this.#signings.inc({ kind: 'jwt', result: 'signed' });
          return token;
        } catch (error) {
          this.#signings.inc({ kind: 'jwt', result: 'failed' });
          throw error;
        }
      },
    };
  }

  async #batch<Result extends { readonly kind: 'signed' | 'refused' }>(
    kind: 'x509' | 'wit',
    size: number,
    signing: Promise<readonly Result[]>,
  ): Promise<readonly Result[]> {
    try {
      const results = await signing;
      const signed = results.filter((result) => result.kind === 'signed').length;
      this.#signings.inc({ kind, result: 'signed' }, signed);
      this.#signings.inc({ kind, result: 'refused' }, results.length - signed);
      return results;
    } catch (error) {
      this.#signings.inc({ kind, result: 'failed' }, size);
      throw error;
    }
  }
}
