/** Everybody who is told of nodes that ask to be let in, and of what was decided: the log, the audit log and the metrics. */
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AuditEvent, AuditLog } from '../audit/audit-log.js';
import { BY_SERVER } from '../node-proof/node-notices.js';
import type { NodeAdmissionRecord, NodeDecision } from '../store/node-admission-record.js';
import type { AdmissionWebhookResult, Metrics } from '../telemetry/metrics.js';

export interface AdmissionNoticesOptions {
  readonly audit: AuditLog;
  readonly metrics: Pick<Metrics, 'nodeAdmission' | 'admissionWebhook'>;
  readonly log: Logger;
}

type AdmissionEvent = Extract<AuditEvent['event'], `node_${string}`>;

/** Each is @throws BonafideError `unavailable` when the audit log cannot be written; what was committed before stands. */
export class AdmissionNotices {
  readonly #options: AdmissionNoticesOptions;

  constructor(options: AdmissionNoticesOptions) {
    this.#options = options;
  }

  asked(record: NodeAdmissionRecord): Promise<void> {
    return this.#tell('node_asked', record, BY_SERVER, `it asked from ${record.address}`);
  }

  /** @param before with the approvals that count no longer. */
  voided(before: NodeAdmissionRecord): Promise<void> {
    const names = before.decisions.map(({ by }) => by).join(', ');
    const reason = `it is not the node that was approved by ${names}: its selectors differ`;
    return this.#tell('node_approval_voided', before, BY_SERVER, reason);
  }

  decided(record: NodeAdmissionRecord, { isApproval, by, reason }: NodeDecision): Promise<void> {
    return this.#tell(isApproval ? 'node_approved' : 'node_denied', record, by, reason);
  }

  /** Before the commit: rather told of and not done than done and not told of. */
  admitted(record: NodeAdmissionRecord): Promise<void> {
    const names = record.decisions.map(({ by }) => by).join(', ');
    return this.#tell('node_admitted', record, BY_SERVER, `approved by ${names}`);
  }

  webhookAnswered(agentId: string, decision: Exclude<AdmissionWebhookResult, 'failed'>): void {
    this.#options.metrics.admissionWebhook(decision);
    this.#options.log.info({ agent_id: agentId, decision }, 'the webhook of node_admission answered');
  }

  webhookFailed(agentId: string, problem: string): void {
    this.#options.metrics.admissionWebhook('failed');
    this.#options.log.warn({ agent_id: agentId }, `the node goes on waiting: ${problem}`);
  }

  async #tell(
    event: AdmissionEvent,
    { agentId, attestationType }: NodeAdmissionRecord,
    by: string,
    reason: string,
  ): Promise<void> {
    const { audit, metrics } = this.#options;
    metrics.nodeAdmission(event);
    await audit.record({ event, agentId, by, attestationType, findings: [], reason });
  }
}
