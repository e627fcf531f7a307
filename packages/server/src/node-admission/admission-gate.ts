/** Keeps a node that is new out until it was approved, and uses the approval up when it comes in. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { NodeAdmissionRecord, NodeDecision } from '../store/node-admission-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import type { AdmissionNotices } from './admission-notices.js';
import {
  afterAsking,
  afterDecision,
  denialIn,
  isAlive,
  isOfSameNode,
  stateOf,
  type AskingNode,
} from './admission-request.js';
import { needsApproval, type ApprovalPolicy } from './approval-policy.js';

/** Somebody who is asked at once, by a program. */
export interface AdmissionWebhook {
  /** Undefined: it has not decided. Never throws for what the other side did. */
  ask(record: NodeAdmissionRecord): Promise<NodeDecision | undefined>;
}

export interface AdmissionGateOptions {
  readonly policy: ApprovalPolicy;
  readonly store: Pick<Store, 'nodeAdmissions' | 'write'>;
  readonly webhook: AdmissionWebhook | undefined;
  readonly notices: AdmissionNotices;
  readonly clock: Clock;
}

/** Each of them has proven that it is the node it says; more are refused until some are decided or forgotten. */
const MOST_REQUESTS = 10_000;
const FULL_RETRY_AFTER_MS = 60_000;
/** It is not written down that a node asked again within this time. */
const NOTE_EVERY_MS = 5_000;

interface Noted {
  readonly before: NodeAdmissionRecord | undefined;
  readonly record: NodeAdmissionRecord;
}

export class AdmissionGate {
  readonly #options: AdmissionGateOptions;

  constructor(options: AdmissionGateOptions) {
    this.#options = options;
  }

  /**
   * Inside the transaction that writes the row of a node that is new: uses up its approval.
   * @returns what was used up, of which `admitted` of the notices is to be told; undefined where nobody needs to be asked.
   * @throws BonafideError `agent_pending` for a node that is not approved; `permission_denied` for one that was denied.
   */
  async admit(
    { nodeAdmissions }: Pick<WriteTransaction, 'nodeAdmissions'>,
    node: AskingNode,
  ): Promise<NodeAdmissionRecord | undefined> {
    const { policy, clock } = this.#options;
    const present = await nodeAdmissions.get(node.agentId);
    const record = isAlive(present, clock.now()) ? present : undefined;
    // Also when the rules have changed, or the node has: who was denied is not let in.
    if (record !== undefined) refuseDenied(record);
    const isNeeded = needsApproval(policy.rules, node);
    if (isNeeded && (record === undefined || !this.#isApproved(record, node))) {
      throw this.#pending(record ?? { ...node, decisions: [] });
    }
    if (present !== undefined) await nodeAdmissions.delete(node.agentId);
    return isNeeded ? record : undefined;
  }

  admitted(record: NodeAdmissionRecord): Promise<void> {
    return this.#options.notices.admitted(record);
  }

  /**
   * Notes that the node asks, and has the webhook decide. Resolves when it is approved by now.
   * @throws BonafideError `agent_pending` while it has to wait; `permission_denied`; `resource_exhausted` when too many wait.
   */
  async ask(node: AskingNode): Promise<void> {
    const record = await this.#note(node);
    refuseDenied(record);
    if (this.#isApproved(record, node)) return;
    const decision = await this.#options.webhook?.ask(record);
    if (decision === undefined) throw this.#pending(record);
    const decided = (await this.#decide(record, decision)) ?? record;
    refuseDenied(decided);
    if (!this.#isApproved(decided, node)) throw this.#pending(decided);
  }

  #isApproved(record: NodeAdmissionRecord, node: AskingNode): boolean {
    const { approvalsNeeded } = this.#options.policy;
    return stateOf(record, approvalsNeeded) === 'approved' && isOfSameNode(record, node);
  }

  async #note(node: AskingNode): Promise<NodeAdmissionRecord> {
    const { store, policy, notices, clock } = this.#options;
    const now = clock.now();
    const known = await store.nodeAdmissions.get(node.agentId);
    if (isAlive(known, now) && saysNothingNew(known, afterAsking(known, node, policy, now))) return known;
    const { before, record } = await store.write(async ({ nodeAdmissions }): Promise<Noted> => {
      const present = await nodeAdmissions.get(node.agentId);
      const before = isAlive(present, now) ? present : undefined;
      const record = afterAsking(before, node, policy, now);
      if (present === undefined) await makeRoom(nodeAdmissions, now);
      if (record !== before) await nodeAdmissions.put(record);
      return { before, record };
    });
    const isAnew = before === undefined || !isOfSameNode(before, record);
    if (isAnew && before !== undefined && before.decisions.length > 0) await notices.voided(before);
    if (isAnew) await notices.asked(record);
    return record;
  }

  /** @returns undefined when something else was decided, or asked, meanwhile. */
  async #decide(
    asked: NodeAdmissionRecord,
    decision: NodeDecision,
  ): Promise<NodeAdmissionRecord | undefined> {
    const { store, policy, notices } = this.#options;
    const after = await store.write(async ({ nodeAdmissions }) => {
      const present = await nodeAdmissions.get(asked.agentId);
      if (!isAlive(present, decision.at) || !isOfSameNode(present, asked)) return undefined;
      const isOpen = stateOf(present, policy.approvalsNeeded) === 'pending';
      if (!isOpen || present.decisions.some(({ by }) => by === decision.by)) return { record: present };
      const record = afterDecision(present, decision, policy);
      await nodeAdmissions.put(record);
      return { record, isDecided: true };
    });
    if (after?.isDecided === true) await notices.decided(after.record, decision);
    return after?.record;
  }

  #pending({ agentId, decisions }: Pick<NodeAdmissionRecord, 'agentId' | 'decisions'>): BonafideError {
    const { approvalsNeeded } = this.#options.policy;
    const soFar =
      approvalsNeeded === 1 ? '' : ` (${decisions.length} of ${approvalsNeeded} approvals so far)`;
    return new BonafideError(
      'agent_pending',
      `failed to attest: ${agentId} waits to be let in${soFar}; an operator does it with 'bonafide-server agent approve --spiffe-id ${agentId}'`,
    );
  }
}

function refuseDenied({ agentId, decisions, expiresAt }: NodeAdmissionRecord): void {
  const denial = denialIn(decisions);
  if (denial === undefined) return;
  throw new BonafideError(
    'permission_denied',
    `failed to attest: ${agentId} was denied; it may ask again after ${expiresAt.toISOString()}`,
  );
}

function saysNothingNew(before: NodeAdmissionRecord, after: NodeAdmissionRecord): boolean {
  if (before === after) return true;
  return (
    after.lastAskedAt.getTime() - before.lastAskedAt.getTime() < NOTE_EVERY_MS &&
    after.lastAskedAt >= before.lastAskedAt &&
    before.attestationType === after.attestationType &&
    before.address === after.address &&
    before.selectors.map(formatSelector).join('\n') === after.selectors.map(formatSelector).join('\n')
  );
}

/** @throws BonafideError `resource_exhausted`. */
async function makeRoom(nodeAdmissions: WriteTransaction['nodeAdmissions'], now: Date): Promise<void> {
  if ((await nodeAdmissions.count()) < MOST_REQUESTS) return;
  await nodeAdmissions.deleteExpired(now);
  if ((await nodeAdmissions.count()) < MOST_REQUESTS) return;
  throw new BonafideError(
    'resource_exhausted',
    `${MOST_REQUESTS} nodes wait to be let in already; approve or deny some, or wait until they are forgotten`,
    { retryAfterMs: FULL_RETRY_AFTER_MS },
  );
}
