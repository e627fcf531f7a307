/** What becomes of a node's request to be let in: it asks, people decide, time passes. Everything here is a calculation. */
import { createHash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import { addSeconds } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { NodeAdmissionRecord, NodeDecision } from '../store/node-admission-record.js';
import type { ApprovalPolicy } from './approval-policy.js';

/** A node that is new here and has proven what it is. */
export interface AskingNode {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  readonly selectors: readonly Selector[];
  readonly address: string;
}

export type AdmissionState = 'pending' | 'approved' | 'denied';

const DIGEST_LENGTH = 32;

export const BY_WEBHOOK = 'webhook';

/** What may be otherwise when the node asks again, and it is the same node to those who approved: what it booted, and in which pod its agent runs. */
const CHANGEABLE = [
  'tpm:pcr:',
  'k8s_psat:agent_pod_ip:',
  'k8s_psat:agent_pod_name:',
  'k8s_psat:agent_pod_uid:',
];

/** By the policy of now: an approval that was enough under an older one may not be. */
export function stateOf(
  { decisions }: Pick<NodeAdmissionRecord, 'decisions'>,
  approvalsNeeded: number,
): AdmissionState {
  if (denialIn(decisions) !== undefined) return 'denied';
  return new Set(decisions.map(({ by }) => by)).size >= approvalsNeeded ? 'approved' : 'pending';
}

export function denialIn(decisions: readonly NodeDecision[]): NodeDecision | undefined {
  return decisions.find(({ isApproval }) => !isApproval);
}

export function isAlive(record: NodeAdmissionRecord | undefined, now: Date): record is NodeAdmissionRecord {
  return record !== undefined && record.expiresAt > now;
}

/** Whether the node that asks is the one that was asked about. */
export function isOfSameNode(
  record: Pick<NodeAdmissionRecord, 'attestationType' | 'selectors'>,
  node: Pick<AskingNode, 'attestationType' | 'selectors'>,
): boolean {
  return record.attestationType === node.attestationType && lasting(record) === lasting(node);
}

/** Names what an operator looked at; lower-case hex. */
export function requestDigest(record: Pick<NodeAdmissionRecord, 'attestationType' | 'selectors'>): string {
  return createHash('sha256')
    .update(JSON.stringify([record.attestationType, lasting(record)]))
    .digest('hex')
    .slice(0, DIGEST_LENGTH);
}

/** @param present what was known so far, if it has not expired. */
export function afterAsking(
  present: NodeAdmissionRecord | undefined,
  node: AskingNode,
  { expiresAfterSeconds }: ApprovalPolicy,
  now: Date,
): NodeAdmissionRecord {
  // Or a node could be rid of a denial by looking otherwise.
  if (present !== undefined && denialIn(present.decisions) !== undefined) return present;
  const { agentId, attestationType, selectors, address } = node;
  const isKnown = present !== undefined && isOfSameNode(present, node);
  const decisions = isKnown ? present.decisions : [];
  return {
    agentId,
    attestationType,
    selectors: normalizeSelectors(selectors),
    address,
    firstAskedAt: isKnown ? present.firstAskedAt : now,
    lastAskedAt: now,
    expiresAt: isKnown && decisions.length > 0 ? present.expiresAt : addSeconds(now, expiresAfterSeconds),
    decisions,
  };
}

/**
 * One denial is enough, and ends in time; whoever denied may take it back by approving, and everybody may overrule the webhook.
 * @throws BonafideError `failed_precondition` when it is decided already, or by the same person.
 */
export function afterDecision(
  record: NodeAdmissionRecord,
  decision: NodeDecision,
  { approvalsNeeded, expiresAfterSeconds, deniedForSeconds }: ApprovalPolicy,
): NodeAdmissionRecord {
  const { agentId, decisions } = record;
  const { at, by } = decision;
  const denial = denialIn(decisions);
  if (!decision.isApproval) {
    if (denial !== undefined) throw decided(`${agentId} was denied already by ${denial.by}`);
    const expiresAt = addSeconds(at, deniedForSeconds);
    return { ...record, decisions: [...decisions, decision], expiresAt };
  }
  const expiresAt = addSeconds(at, expiresAfterSeconds);
  if (denial !== undefined) {
    if (by === BY_WEBHOOK || (denial.by !== by && denial.by !== BY_WEBHOOK)) {
      throw decided(
        `${agentId} was denied by ${denial.by}, who alone may approve it before ${record.expiresAt.toISOString()}`,
      );
    }
    return { ...record, decisions: [decision], expiresAt };
  }
  if (stateOf(record, approvalsNeeded) === 'approved') {
    throw decided(`${agentId} is approved already; it is let in when it attests next`);
  }
  if (decisions.some((earlier) => earlier.by === by)) {
    throw decided(
      `${by} has approved ${agentId} already; ${approvalsNeeded} different people must, and another one is needed`,
    );
  }
  return { ...record, decisions: [...decisions, decision], expiresAt };
}

function lasting({ selectors }: Pick<AskingNode, 'selectors'>): string {
  const texts = normalizeSelectors(selectors).map(formatSelector);
  return JSON.stringify(texts.filter((text) => !CHANGEABLE.some((prefix) => text.startsWith(prefix))));
}

function decided(message: string): BonafideError {
  return new BonafideError('failed_precondition', message);
}
