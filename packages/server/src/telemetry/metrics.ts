/** What the server counts, in the words of Prometheus; every label has few values, whatever agents send. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { AuditEvent } from '../audit/audit-log.js';
import type { NodeFinding } from '../store/node-record.js';

export type ProofResult = 'unchanged' | 'changed' | 'findings' | 'refused' | 'failed';
export type AttestationResult = 'attested' | 'refused' | 'quarantined' | 'pending' | 'failed';
export type AdmissionWebhookResult = 'allow' | 'deny' | 'wait' | 'failed';

const BANKS: ReadonlySet<string> = new Set(['sha1', 'sha256', 'sha384', 'sha512']);
const PCRS = 24;

export class Metrics {
  readonly #registry = new Registry();
  readonly #quarantines = this.#counter(
    'bonafide_node_quarantines_total',
    'Nodes put into quarantine, by what was found',
    ['kind'],
  );
  readonly #quarantinePcrs = this.#counter(
    'bonafide_node_quarantine_pcr_total',
    'PCRs whose values put a node into quarantine',
    ['pcr', 'bank'],
  );
  readonly #proofs = this.#counter('bonafide_node_proofs_total', 'Proofs of attested nodes', ['result']);
  readonly #attestations = this.#counter('bonafide_node_attestations_total', 'Attestations of nodes', [
    'type',
    'result',
  ]);
  readonly #admissions = this.#counter(
    'bonafide_node_admissions_total',
    'What happened to nodes that must be let in, as the audit log calls it',
    ['event'],
  );
  readonly #admissionWebhook = this.#counter(
    'bonafide_node_admission_webhook_total',
    'Answers of the webhook that lets nodes in',
    ['result'],
  );
  readonly #overdue = new Gauge({
    name: 'bonafide_nodes_overdue',
    help: 'Connected nodes whose last proof is older than their deadline',
    registers: [this.#registry],
  });

  /** Findings are counted once for each kind. */
  nodeQuarantined(findings: readonly NodeFinding[]): void {
    for (const kind of new Set(findings.map((finding) => finding.kind))) this.#quarantines.inc({ kind });
    for (const { kind, pcr, bank } of findings) {
      if (kind !== 'pcr' || pcr === undefined || bank === undefined) continue;
      if (Number.isInteger(pcr) && pcr >= 0 && pcr < PCRS && BANKS.has(bank)) {
        this.#quarantinePcrs.inc({ pcr: String(pcr), bank });
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
    this.#overdue.set(count);
  }

  /** @param count asked at each scrape. */
  countQuarantined(count: () => number): void {
    new Gauge({
      name: 'bonafide_nodes_quarantined',
      help: 'Nodes that are in quarantine',
      registers: [this.#registry],
      collect() {
        this.set(count());
      },
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything, as Prometheus reads it. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #counter<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }
}
