/** Nodes, people and a gate for the tests of this room. */
import { parseSelector } from '@bonafide/shared/registration/selector';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { AuditEvent } from '../audit/audit-log.js';
import { exampleTrustDomain } from '../store/example-records.js';
import type { NodeAdmissionRecord } from '../store/node-admission-record.js';
import type { Store } from '../store/store.js';
import { Metrics } from '../telemetry/metrics.js';
import { AdmissionGate, type AdmissionWebhook } from './admission-gate.js';
import { AdmissionNotices } from './admission-notices.js';
import type { AskingNode } from './admission-request.js';
import type { ApprovalPolicy } from './approval-policy.js';
import { NodeAdmissions } from './node-admissions.js';

export function askingNode(name: string, ...selectors: readonly string[]): AskingNode {
  return {
    agentId: agentId(exampleTrustDomain('example.org'), 'tpm', name),
    attestationType: 'tpm',
    selectors: selectors.map(parseSelector),
    address: '192.0.2.7',
  };
}

export const HOUR_SECONDS = 3600;
export const policy: ApprovalPolicy = {
  rules: [{ attestor: 'tpm' }],
  approvalsNeeded: 1,
  expiresAfterSeconds: HOUR_SECONDS,
  deniedForSeconds: 2 * HOUR_SECONDS,
};

export class AdmissionFixture {
  readonly events: AuditEvent[] = [];
  readonly notices: AdmissionNotices;
  readonly gate: AdmissionGate;
  readonly people: NodeAdmissions;
  readonly store: Store;

  constructor(
    store: Store,
    options: { clock: Clock; policy?: Partial<ApprovalPolicy>; webhook?: AdmissionWebhook },
  ) {
    const { clock, webhook } = options;
    const audit = {
      record: (event: AuditEvent) => {
        this.events.push(event);
        return Promise.resolve();
      },
    };
    this.notices = new AdmissionNotices({ audit, metrics: new Metrics(), log });
    const parts = { policy: { ...policy, ...options.policy }, store, notices: this.notices, clock };
    this.gate = new AdmissionGate({ ...parts, webhook });
    this.people = new NodeAdmissions(parts);
    this.store = store;
  }

  /** @returns what was used up, in a transaction of its own. */
  admit(node: AskingNode): Promise<NodeAdmissionRecord | undefined> {
    return this.store.write((transaction) => this.gate.admit(transaction, node));
  }
}
