/** What the server counts, in the words of Prometheus; every label has few values, whatever agents send. */
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { MetricRegistry } from '@bonafide/shared/telemetry/metric-registry';
import { RpcMetrics } from '@bonafide/shared/telemetry/rpc-metrics';
import { SERVED_SERVICES } from '../access/rpc-callers.js';
import type { AuditEvent } from '../audit/audit-log.js';
import type { NodeFinding } from '../store/node-record.js';
import { IssuanceMetrics } from './issuance-metrics.js';
import { UpkeepMetrics } from './upkeep-metrics.js';
import { UpstreamMetrics } from './upstream-metrics.js';

const PROOF_RESULTS = ['unchanged', 'changed', 'findings', 'refused', 'failed'] as const;
export type ProofResult = (typeof PROOF_RESULTS)[number];
const ATTESTATION_RESULTS = ['attested', 'refused', 'quarantined', 'pending', 'failed'] as const;
export type AttestationResult = (typeof ATTESTATION_RESULTS)[number];
const WEBHOOK_RESULTS = ['allow', 'deny', 'wait', 'failed'] as const;
export type AdmissionWebhookResult = (typeof WEBHOOK_RESULTS)[number];

const BANKS = ['sha1', 'sha256', 'sha384', 'sha512'] as const;
const PCRS: ReadonlySet<string> = new Set(Array.from({ length: 24 }, (_, pcr) => String(pcr)));

export class Metrics {
  readonly registry = new MetricRegistry();
  readonly rpc = new RpcMetrics(this.registry, { listeners: ['tls', 'admin'], services: SERVED_SERVICES });
  readonly issuance: IssuanceMetrics;
  readonly upkeep = new UpkeepMetrics(this.registry);
  readonly upstream: UpstreamMetrics;
  readonly #quarantines = this.registry.counter(
    'bonafide_node_quarantines_total',
    'Nodes put into quarantine, by what was found',
    { kind: 16 },
  );
  readonly #quarantinePcrs = this.registry.counter(
    'bonafide_node_quarantine_pcr_total',
    'PCRs whose values put a node into quarantine',
    { pcr: PCRS, bank: BANKS },
  );
  readonly #proofs = this.registry.counter('bonafide_node_proofs_total', 'Proofs of attested nodes', {
    result: PROOF_RESULTS,
  });
  readonly #attestations = this.registry.counter(
    'bonafide_node_attestations_total',
    'Attestations of nodes',
    { type: 32, result: ATTESTATION_RESULTS },
  );
  readonly #admissions = this.registry.counter(
    'bonafide_node_admissions_total',
    'What happened to nodes that must be let in, as the audit log calls it',
    { event: 64 },
  );
  readonly #admissionWebhook = this.registry.counter(
    'bonafide_node_admission_webhook_total',
    'Answers of the webhook that lets nodes in',
    { result: WEBHOOK_RESULTS },
  );
  readonly #overdue = this.registry.gauge(
    'bonafide_nodes_overdue',
    'Connected nodes whose last proof is older than their deadline',
    {},
  );

  constructor(clock: Pick<Clock, 'monotonicMs'> = systemClock) {
    this.issuance = new IssuanceMetrics(this.registry, clock);
    this.upstream = new UpstreamMetrics(this.registry, clock);
  }

  /** Findings are counted once for each kind. */
  nodeQuarantined(findings: readonly NodeFinding[]): void {
    for (const kind of new Set(findings.map((finding) => finding.kind))) this.#quarantines.inc({ kind });
    for (const { kind, pcr, bank } of findings) {
      if (kind !== 'pcr' || pcr === undefined) continue;
      const knownBank = BANKS.find((known) => known === bank);
      if (knownBank !== undefined && PCRS.has(String(pcr))) {
        this.#quarantinePcrs.inc({ pcr: String(pcr), bank: knownBank });
      }
    }
  }

  nodeProof(result: ProofResult): void {
    this.#proofs.inc({ result });
  }

  /** @param type of an attestor that is enabled. */
  nodeAttestation(type: string, result: AttestationResult): void {
    this.#attestations.inc({ type, result });
  }

  nodeAdmission(event: AuditEvent['event']): void {
    this.#admissions.inc({ event });
  }

  admissionWebhook(result: AdmissionWebhookResult): void {
    this.#admissionWebhook.inc({ result });
  }

  nodesOverdue(count: number): void {
    this.#overdue.set({}, count);
  }

  /** @param count asked at each scrape. */
  countQuarantined(count: () => number): void {
    this.registry.gaugeOf('bonafide_nodes_quarantined', 'Nodes that are in quarantine', {}, () => [
      [{}, count()],
    ]);
  }
}
