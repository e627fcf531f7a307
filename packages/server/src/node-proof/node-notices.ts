/** Everybody who is told when a node went into quarantine, left it, or was turned away: the log, the audit log and the metrics. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { actorNamed } from '../access/audited-actor.js';
import type { AuditRecorder } from '../audit/audit-log.js';
import type { AttestedNode, NodeFinding, Quarantine } from '../store/node-record.js';
import type { AttestationResult, Metrics, ProofResult } from '../telemetry/metrics.js';
import type { QuarantinedNode } from './quarantine.js';

export interface NodeNoticesOptions {
  readonly audit: AuditRecorder;
  readonly metrics: Pick<Metrics, 'nodeQuarantined' | 'nodeProof' | 'nodeAttestation' | 'nodesOverdue'>;
  readonly log: Logger;
}

/** Who did it, as the audit log names callers. */
export const BY_SERVER = 'server';

export class NodeNotices {
  readonly #options: NodeNoticesOptions;

  constructor(options: NodeNoticesOptions) {
    this.#options = options;
  }

  /**
   * After the commit. @param before what was held against it until then: the same again is not told.
   * @param audit of the call by which it was asked for.
   * @throws BonafideError `unavailable` when the audit log cannot be written; the quarantine stands.
   */
  async quarantined(
    { agentId, attestationType, quarantine }: QuarantinedNode,
    before: Quarantine | undefined,
    by: string,
    audit: AuditRecorder = this.#options.audit,
  ): Promise<void> {
    const { metrics, log } = this.#options;
    const known = new Set(before?.findings.map((finding) => JSON.stringify(finding)));
    const findings = quarantine.findings.filter((finding) => !known.has(JSON.stringify(finding)));
    if (before !== undefined && findings.length === 0) return;
    metrics.nodeQuarantined(findings);
    log.error(
      { agent_id: agentId, node_attestor_type: attestationType, by, findings },
      before === undefined ? 'agent went into quarantine' : 'more was found about an agent in quarantine',
    );
    const event = { event: 'agent_quarantined', result: 'success', actor: actorNamed(by) } as const;
    await audit.record({ ...event, subject: { agentId }, attestationType, findings });
  }

  /** As `quarantined`, by the server itself, which nothing holds up: an audit log that cannot be written is told of in the log. */
  async quarantinedByServer(node: QuarantinedNode, before: Quarantine | undefined): Promise<void> {
    try {
      await this.quarantined(node, before, BY_SERVER);
    } catch (error) {
      if (!hasReason(error, 'unavailable')) throw error;
      this.#options.log.error({ err: error, agent_id: node.agentId }, 'a quarantine is not in the audit log');
    }
  }

  /** After the commit. @throws BonafideError `unavailable` when the audit log cannot be written; it is released all the same. */
  async released(
    { agentId, attestationType, quarantine }: AttestedNode,
    by: string,
    audit: AuditRecorder = this.#options.audit,
  ): Promise<void> {
    const findings = quarantine?.findings ?? [];
    this.#options.log.warn({ agent_id: agentId, by, findings }, 'agent was released from quarantine');
    const event = { event: 'agent_released', result: 'success', actor: actorNamed(by) } as const;
    await audit.record({ ...event, subject: { agentId }, attestationType, findings });
  }

  /** A node that nobody knows is not in the state that policy demands. */
  async turnedAway(
    agentId: SpiffeId,
    attestationType: string,
    findings: readonly NodeFinding[],
  ): Promise<void> {
    const { audit, log } = this.#options;
    log.warn({ agent_id: agentId, node_attestor_type: attestationType, findings }, 'a node was turned away');
    const event = { event: 'attestation_refused', result: 'denied', actor: actorNamed(BY_SERVER) } as const;
    await audit.record({ ...event, subject: { agentId }, attestationType, findings });
  }

  attestation(type: string, result: AttestationResult): void {
    this.#options.metrics.nodeAttestation(type, result);
  }

  proof(result: ProofResult): void {
    this.#options.metrics.nodeProof(result);
  }

  overdue(count: number): void {
    this.#options.metrics.nodesOverdue(count);
  }
}

/** How an attestation or a proof that threw is counted: by whom it was not to be. */
export function isRefusal(error: unknown): boolean {
  return hasReason(error, 'permission_denied', 'invalid_argument', 'agent_banned', 'agent_pending');
}
