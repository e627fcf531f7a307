/** Everybody who is told of nodes that ask to be let in, and of what was decided: the log, the audit log and the metrics. */
import type { Logger } from '@bonafide/shared/runtime/logger';
import { actorNamed } from '../access/audited-actor.js';
import type { AuditResult } from '../audit/audit-event.js';
import type { AuditEventName } from '../audit/audit-events.js';
import type { AuditRecorder } from '../audit/audit-log.js';
import { BY_SERVER } from '../node-proof/node-notices.js';
import type { NodeAdmissionRecord, NodeDecision } from '../store/node-admission-record.js';
import type { AdmissionWebhookResult, Metrics } from '../telemetry/metrics.js';

export interface AdmissionNoticesOptions {
  readonly audit: AuditRecorder;
  readonly metrics: Pick<Metrics, 'nodeAdmission' | 'admissionWebhook'>;
  readonly log: Logger;
}

type AdmissionEvent = Exclude<Extract<AuditEventName, `node_${string}`>, 'node_proven'>;

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

  /** @param audit of the call by which it was decided. */
  decided(
    record: NodeAdmissionRecord,
    { isApproval, by, reason }: NodeDecision,
    audit?: AuditRecorder,
  ): Promise<void> {
    return this.#tell(isApproval ? 'node_approved' : 'node_denied', record, by, reason, audit);
  }

  /** Before the commit, inside of the transaction: rather told of and not done than done and not told of. */
  admitted(record: NodeAdmissionRecord): Promise<void> {
    const names = record.decisions.map(({ by }) => by).join(', ');
    return this.#tell(
      'node_admitted',
      record,
      BY_SERVER,
      `approved by ${names}`,
      undefined,
      'in_transaction',
    );
  }

  async webhookAnswered(agentId: string, decision: Exclude<AdmissionWebhookResult, 'failed'>): Promise<void> {
    this.#options.metrics.admissionWebhook(decision);
    this.#options.log.info({ agent_id: agentId, decision }, 'the webhook of node_admission answered');
    await this.#webhook(agentId, decision === 'deny' ? 'denied' : 'success', { decision });
  }

  async webhookFailed(agentId: string, problem: string): Promise<void> {
    this.#options.metrics.admissionWebhook('failed');
    this.#options.log.warn({ agent_id: agentId }, `the node goes on waiting: ${problem}`);
    await this.#webhook(agentId, 'failure', { problem });
  }

  async #webhook(
    agentId: string,
    result: AuditResult,
    details: Readonly<Record<string, string>>,
  ): Promise<void> {
    const event = { event: 'admission_webhook_asked', actor: { kind: 'webhook' } } as const;
    await this.#options.audit.record({ ...event, result, subject: { agentId }, details });
  }

  async #tell(
    event: AdmissionEvent,
    { agentId, attestationType }: NodeAdmissionRecord,
    by: string,
    reason: string,
    audit: AuditRecorder = this.#options.audit,
    place?: 'in_transaction',
  ): Promise<void> {
    this.#options.metrics.nodeAdmission(event);
    const what = { event, result: 'success', actor: actorNamed(by) } as const;
    await audit.record({ ...what, subject: { agentId }, attestationType, reason }, place);
  }
}
