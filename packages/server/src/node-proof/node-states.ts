/** What is known of a node, for operators; and the waiting for a proof that one of them asked for. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { NodeAttestor, NodeFact } from '../node-attestation/node-attestor.js';
import type { AttestedNode, Quarantine } from '../store/node-record.js';
import type { Store } from '../store/store.js';
import { stateDigest } from './state-digest.js';
import { factsOf } from './node-facts.js';
import type { LastProven } from './last-proven.js';

export interface NodeState {
  readonly agentId: SpiffeId;
  readonly attestationType: string;
  readonly quarantine: Quarantine | undefined;
  readonly provenAt: Date | undefined;
  readonly requestedAt: Date | undefined;
  readonly facts: readonly NodeFact[];
  /** Undefined while not in quarantine. */
  readonly digest: string | undefined;
}

export interface NodeStatesOptions {
  readonly attestors: ReadonlyMap<string, NodeAttestor>;
  readonly store: Store;
  readonly lastProven: LastProven;
  readonly clock: Clock;
}

const LOOK_AGAIN_MS = 200;

export class NodeStates {
  readonly #options: NodeStatesOptions;

  constructor(options: NodeStatesOptions) {
    this.#options = options;
  }

  /** @throws BonafideError `not_found`. */
  async get(agentId: SpiffeId): Promise<NodeState> {
    const { store, attestors, lastProven } = this.#options;
    const node = found(await store.nodes.get(agentId));
    const noted = await store.nodeProofs.get(agentId);
    const { attestationType, quarantine } = node;
    const facts = factsOf(noted, attestors.get(attestationType));
    return {
      ...{ agentId, attestationType, quarantine, facts },
      provenAt: lastProven.of(agentId) ?? noted?.provenAt,
      requestedAt: noted?.requestedAt,
      digest: quarantine === undefined ? undefined : stateDigest(quarantine.findings, facts),
    };
  }

  /**
   * Has the agent prove its node, wherever it is connected; when it is not, as soon as it comes.
   * @returns what is known once it did, or when the time is over.
   * @throws BonafideError `not_found`; `failed_precondition` for a kind of attestation that cannot be proven again.
   */
  async requestProof(agentId: SpiffeId, waitMs: number, signal: AbortSignal): Promise<NodeState> {
    const { store, attestors, clock } = this.#options;
    const requestedAt = clock.now();
    await store.write(async ({ nodes, nodeProofs }) => {
      const { attestationType } = found(await nodes.get(agentId));
      if (attestors.get(attestationType)?.continuous === undefined) {
        throw new BonafideError(
          'failed_precondition',
          `a node that was attested by ${attestationType} cannot be proven again`,
        );
      }
      const noted = await nodeProofs.get(agentId);
      await nodeProofs.put({
        agentId,
        provenAt: noted?.provenAt,
        record: noted?.record,
        requestedAt,
      });
    });
    const untilMs = clock.monotonicMs() + waitMs;
    for (;;) {
      const state = await this.get(agentId);
      const isProven = state.provenAt !== undefined && state.provenAt >= requestedAt;
      const leftMs = untilMs - clock.monotonicMs();
      if (isProven || leftMs <= 0) return state;
      await sleep(clock, Math.min(LOOK_AGAIN_MS, leftMs), signal);
    }
  }
}

function found(node: AttestedNode | undefined): AttestedNode {
  if (node === undefined) throw new BonafideError('not_found', 'agent not found');
  return node;
}
