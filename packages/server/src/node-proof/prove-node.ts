/** A node that is attested proves itself once more: evidence, then a verdict, which is written down when it changes anything. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { formatSelector, normalizeSelectors, type Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { limitChallenges } from '../node-attestation/limit-challenges.js';
import type { ContinuousProof, NodeAttestor, NodeProof } from '../node-attestation/node-attestor.js';
import type { AttestedNode, NodeFinding, NodeProofRecord, Quarantine } from '../store/node-record.js';
import type { Store, WriteTransaction } from '../store/store.js';
import type { LastProven } from './last-proven.js';
import { isRefusal, type NodeNotices } from './node-notices.js';
import { ProofPlaces } from './proof-places.js';
import { quarantineAfterProof } from './quarantine.js';

export interface NodeProofsOptions {
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly store: Store;
  /** What is in memory. */
  readonly nodes: { node(agentId: SpiffeId): AttestedNode | undefined };
  readonly lastProven: LastProven;
  readonly notices: NodeNotices;
  /** Hears of each proof that was judged. */
  readonly onProven: (agentId: SpiffeId) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface ProofAttempt {
  readonly agentId: SpiffeId;
  /** As the agent names it; that of its node is meant. */
  readonly type: string;
  /** SHA-256 of the certificate with which the agent calls. */
  readonly certificateHash: Buffer;
  readonly challenge: (data: Buffer) => Promise<Buffer>;
}

export interface NodeVerdict {
  readonly isQuarantined: boolean;
  readonly findings: readonly NodeFinding[];
}

/** What the proof was held against, and what it says. */
interface JudgedProof {
  readonly agentId: SpiffeId;
  readonly provenAt: Date;
  readonly before: NodeProofRecord | undefined;
  readonly proof: NodeProof;
}

/** For all of it: TPMs are slow, logs are long. */
const TIME_LIMIT_MS = 60_000;

export class NodeProofs {
  readonly #options: NodeProofsOptions;
  readonly #places = new ProofPlaces();

  constructor(options: NodeProofsOptions) {
    this.#options = options;
  }

  /**
   * An agent has one proof at a time: a new one takes the place of the one before, which ends with `aborted`.
   * @throws BonafideError `permission_denied` or `invalid_argument` when the evidence is not that node's; `failed_precondition` when its
   * kind of attestation cannot be proven again; `deadline_exceeded`; `unavailable` when too many prove themselves at once; `agent_*`.
   */
  async prove(attempt: ProofAttempt): Promise<NodeVerdict> {
    const { clock, notices, log } = this.#options;
    const { agentId } = attempt;
    const continuous = this.#continuousOf(attempt);
    const place = this.#places.take(agentId);
    try {
      const work = Promise.race([place.lost, this.#judge(attempt, continuous)]);
      const judged = await withTimeLimit(clock, TIME_LIMIT_MS, 'the proof of the node', work);
      // Whoever lost the place while the last answer was judged decides nothing any more.
      if (!place.isHeld) await place.lost;
      return await this.#settle(judged);
    } catch (error) {
      notices.proof(isRefusal(error) ? 'refused' : 'failed');
      if (isRefusal(error))
        log.warn({ agent_id: agentId, problem: errorMessage(error) }, 'a node did not prove itself');
      throw error;
    } finally {
      place.leave();
    }
  }

  #continuousOf({ agentId, type }: ProofAttempt): ContinuousProof {
    const node = this.#knownNode(agentId);
    if (type !== node.attestationType) {
      throw new BonafideError(
        'invalid_argument',
        `attestation_type: is ${JSON.stringify(type.slice(0, 64))}; the node was attested by ${node.attestationType}`,
      );
    }
    const continuous = this.#options.attestors.get(type)?.continuous;
    if (continuous !== undefined) return continuous;
    throw new BonafideError(
      'failed_precondition',
      `a node that was attested by ${type} cannot be proven again`,
    );
  }

  async #judge(attempt: ProofAttempt, continuous: ContinuousProof): Promise<JudgedProof> {
    const { agentId, certificateHash, challenge } = attempt;
    const { store, clock } = this.#options;
    const now = clock.now();
    const before = await store.nodeProofs.get(agentId);
    const proof = await continuous.prove({
      agentId,
      certificateHash,
      record: before?.record,
      now,
      challenge: limitChallenges(challenge),
    });
    // It was asked for before it began, whatever the clock of the server says at which the request was made.
    const { requestedAt } = before ?? {};
    return {
      agentId,
      provenAt: requestedAt !== undefined && requestedAt > now ? requestedAt : now,
      before,
      proof,
    };
  }

  async #settle(judged: JudgedProof): Promise<NodeVerdict> {
    const { agentId, provenAt, before, proof } = judged;
    const { lastProven, notices, onProven } = this.#options;
    const node = this.#knownNode(agentId);
    const isUnchanged = before?.record === proof.record && !isChanged(node, changedBy(node, proof, provenAt));
    if (isUnchanged) {
      lastProven.note(agentId, provenAt);
      // Somebody waits for it.
      if (before.requestedAt !== undefined) await lastProven.flush();
    }
    const quarantine = isUnchanged ? node.quarantine : await this.#write(judged);
    onProven(agentId);
    notices.proof(proof.findings.length > 0 ? 'findings' : isUnchanged ? 'unchanged' : 'changed');
    return { isQuarantined: quarantine !== undefined, findings: quarantine?.findings ?? [] };
  }

  async #write(judged: JudgedProof): Promise<Quarantine | undefined> {
    const { store, notices } = this.#options;
    const { node, present } = await store.write((transaction) => writeProof(transaction, judged));
    const { quarantine } = node;
    if (quarantine === undefined) return undefined;
    await notices.quarantinedByServer({ ...node, quarantine }, present.quarantine);
    return quarantine;
  }

  #knownNode(agentId: SpiffeId): AttestedNode {
    return stillAttested(agentId, this.#options.nodes.node(agentId));
  }
}

async function writeProof(
  { nodes, nodeProofs }: WriteTransaction,
  { agentId, provenAt, before, proof }: JudgedProof,
): Promise<{ readonly present: AttestedNode; readonly node: AttestedNode }> {
  const present = stillAttested(agentId, await nodes.get(agentId));
  const noted = await nodeProofs.get(agentId);
  if (noted?.record !== before?.record) {
    throw new BonafideError(
      'aborted',
      `what is known of ${agentId} changed while it proved itself; prove it again`,
    );
  }
  const requestedAt = noted?.requestedAt;
  const isOwed = requestedAt !== undefined && requestedAt > provenAt;
  await nodeProofs.put({
    agentId,
    provenAt,
    requestedAt: isOwed ? requestedAt : undefined,
    record: proof.record,
  });
  const node = { ...present, ...changedBy(present, proof, provenAt) };
  if (isChanged(present, node)) await nodes.put(node);
  return { present, node };
}

/** What a proof says of the row of its node. */
function changedBy(
  { quarantine }: AttestedNode,
  { findings, selectors }: NodeProof,
  now: Date,
): Pick<AttestedNode, 'quarantine' | 'selectors'> {
  return {
    quarantine: quarantineAfterProof(quarantine, findings, now),
    selectors: normalizeSelectors(selectors),
  };
}

function isChanged(node: AttestedNode, after: Pick<AttestedNode, 'quarantine' | 'selectors'>): boolean {
  return (
    JSON.stringify(node.quarantine) !== JSON.stringify(after.quarantine) ||
    textOf(node.selectors) !== textOf(after.selectors)
  );
}

function textOf(selectors: readonly Selector[]): string {
  return JSON.stringify(normalizeSelectors(selectors).map(formatSelector));
}

function stillAttested(agentId: SpiffeId, node: AttestedNode | undefined): AttestedNode {
  if (node === undefined) throw new BonafideError('agent_not_attested', `agent ${agentId} is not attested`);
  if (node.isBanned) throw new BonafideError('agent_banned', `agent ${agentId} is banned`);
  return node;
}
