/** Nodes that were never here before and wait until somebody lets them in: what operators see of them and decide. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AuditRecorder } from '../audit/audit-log.js';
import type { NodeAdmissionRecord } from '../store/node-admission-record.js';
import type { Page, PageRequest, Store } from '../store/store.js';
import type { AdmissionNotices } from './admission-notices.js';
import { afterDecision, isAlive, requestDigest, stateOf, type AdmissionState } from './admission-request.js';
import type { ApprovalPolicy } from './approval-policy.js';

export interface PendingNode extends NodeAdmissionRecord {
  readonly state: AdmissionState;
  /** How many different people have to approve. */
  readonly approvalsNeeded: number;
  /** See `requestDigest`. */
  readonly digest: string;
}

export interface DecidedNode {
  readonly agentId: SpiffeId;
  /** As the audit log names callers. */
  readonly by: string;
  readonly reason: string;
  /** Of what was looked at; undefined: whatever the node asks as. */
  readonly digest?: string | undefined;
  /** Of the call by which it was decided. */
  readonly audit?: AuditRecorder;
}

export interface NodeAdmissionsOptions {
  readonly policy: ApprovalPolicy;
  readonly store: Pick<Store, 'nodeAdmissions' | 'write'>;
  readonly notices: AdmissionNotices;
  readonly clock: Clock;
}

export class NodeAdmissions {
  readonly #options: NodeAdmissionsOptions;

  constructor(options: NodeAdmissionsOptions) {
    this.#options = options;
  }

  /** Ordered by agent ID. */
  async list(request: PageRequest): Promise<Page<PendingNode>> {
    const { store, clock } = this.#options;
    const { items, nextPageToken } = await store.nodeAdmissions.list(clock.now(), request);
    return { items: items.map((record) => this.#shown(record)), nextPageToken };
  }

  /**
   * @throws BonafideError `not_found` for a node that does not wait; `failed_precondition` when it is decided, or the same person approved
   * it before; `aborted` when it asks as another node than was looked at; `unavailable` when the audit log cannot be written: the decision stands.
   */
  approve(decided: DecidedNode): Promise<PendingNode> {
    return this.#decide(decided, true);
  }

  /** Also of a node that is approved and not in yet. @throws BonafideError as `approve`. */
  deny(decided: DecidedNode): Promise<PendingNode> {
    return this.#decide(decided, false);
  }

  async #decide(
    { agentId, by, reason, digest, audit }: DecidedNode,
    isApproval: boolean,
  ): Promise<PendingNode> {
    const { store, policy, notices, clock } = this.#options;
    const decision = { by, isApproval, at: clock.now(), reason };
    const record = await store.write(async ({ nodeAdmissions }) => {
      const present = await nodeAdmissions.get(agentId);
      if (!isAlive(present, decision.at)) throw notWaiting(agentId);
      if (digest !== undefined && digest !== requestDigest(present)) {
        throw new BonafideError(
          'aborted',
          `${agentId} asks with other selectors since; look at it again with 'bonafide-server agent pending'`,
        );
      }
      const after = afterDecision(present, decision, policy);
      await nodeAdmissions.put(after);
      return after;
    });
    await notices.decided(record, decision, audit);
    return this.#shown(record);
  }

  #shown(record: NodeAdmissionRecord): PendingNode {
    const { approvalsNeeded } = this.#options.policy;
    return {
      ...record,
      state: stateOf(record, approvalsNeeded),
      approvalsNeeded,
      digest: requestDigest(record),
    };
  }
}

function notWaiting(agentId: SpiffeId): BonafideError {
  return new BonafideError(
    'not_found',
    `${agentId} does not wait to be let in; those that do are listed by 'bonafide-server agent pending'`,
  );
}
