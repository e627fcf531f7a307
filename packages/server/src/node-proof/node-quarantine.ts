/** Puts nodes into quarantine and ends it: by operators, or because a node did not prove itself in time. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { AuditRecorder } from '../audit/audit-log.js';
import type { NodeAttestor } from '../node-attestation/node-attestor.js';
import type { AttestedNode, NodeFinding } from '../store/node-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import type { NodeNotices } from './node-notices.js';
import { factsOf } from './node-facts.js';
import { stateDigest } from './state-digest.js';
import { quarantineWith, type QuarantinedNode } from './quarantine.js';

export interface NodeQuarantineOptions {
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly store: Store;
  readonly notices: NodeNotices;
  readonly clock: Clock;
}

interface Entered {
  readonly before: AttestedNode;
  readonly node: QuarantinedNode;
}

export class NodeQuarantine {
  readonly #options: NodeQuarantineOptions;

  constructor(options: NodeQuarantineOptions) {
    this.#options = options;
  }

  /**
   * @param audit of the call by which it was asked for.
   * @throws BonafideError `not_found`; `unavailable` when the audit log cannot be written: the quarantine stands.
   */
  async byOperator(agentId: SpiffeId, reason: string, by: string, audit?: AuditRecorder): Promise<void> {
    const finding = {
      kind: 'operator',
      text: reason === '' ? 'put into quarantine by an operator' : reason,
    } as const;
    const entered = await this.#options.store.write(async (transaction) =>
      this.#enter(transaction, await existing(transaction, agentId), finding),
    );
    await this.#options.notices.quarantined(entered.node, entered.before.quarantine, by, audit);
  }

  /** @returns whether it went: it may have proven itself meanwhile, at another server. */
  async forWantOfProof(agentId: SpiffeId, deadlineSeconds: number): Promise<boolean> {
    const { store, clock, notices } = this.#options;
    const entered = await store.write(async (transaction) => {
      const node = await transaction.nodes.get(agentId);
      if (node === undefined || node.isBanned || node.quarantine !== undefined) return undefined;
      const provenAt = (await transaction.nodeProofs.get(agentId))?.provenAt;
      const oldest = clock.now().getTime() - deadlineSeconds * 1000;
      if (provenAt !== undefined && provenAt.getTime() > oldest) return undefined;
      const text = `the node was asked to prove itself and did not; its last proof was ${provenAt?.toISOString() ?? 'never'}, and ${deadlineSeconds} s is the longest allowed`;
      return this.#enter(transaction, node, { kind: 'unproven', text });
    });
    if (entered === undefined) return false;
    await notices.quarantinedByServer(entered.node, entered.before.quarantine);
    return true;
  }

  /**
   * What the node showed last is what it is meant to be from now on.
   * @param digest of the state that the operator looked at (see state-digest.ts).
   * @throws BonafideError `not_found`; `failed_precondition` for a node that is not in quarantine; `aborted` when it has shown something else
   * since; `unavailable` when the audit log cannot be written: it is released all the same.
   */
  async release(agentId: SpiffeId, digest: string, by: string, audit?: AuditRecorder): Promise<void> {
    const { store, attestors, notices } = this.#options;
    const node = await store.write(async (transaction) => {
      const present = await existing(transaction, agentId);
      if (present.quarantine === undefined) {
        throw new BonafideError('failed_precondition', `agent ${agentId} is not in quarantine`);
      }
      const noted = await transaction.nodeProofs.get(agentId);
      const attestor = attestors.get(present.attestationType);
      if (stateDigest(present.quarantine.findings, factsOf(noted, attestor)) !== digest) {
        throw new BonafideError(
          'aborted',
          `agent ${agentId} has shown something else since; look at it again with 'bonafide-server agent show'`,
        );
      }
      if (noted?.record !== undefined && attestor?.continuous !== undefined) {
        await transaction.nodeProofs.put({ ...noted, record: attestor.continuous.accept(noted.record) });
      }
      await transaction.nodes.put({ ...present, quarantine: undefined });
      return present;
    });
    await notices.released(node, by, audit);
  }

  async #enter({ nodes }: WriteTransaction, before: AttestedNode, finding: NodeFinding): Promise<Entered> {
    const quarantine = quarantineWith(before.quarantine, finding, this.#options.clock.now());
    const node = { ...before, quarantine };
    await nodes.put(node);
    return { before, node };
  }
}

async function existing({ nodes }: WriteTransaction, agentId: SpiffeId): Promise<AttestedNode> {
  const node = await nodes.get(agentId);
  if (node === undefined) throw new BonafideError('not_found', 'agent not found');
  return node;
}
