/** What every way of proving a node implements: evidence in, an agent ID and selectors out, in as many rounds as it takes. */
import type { Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { z } from 'zod';
import type { WriteTransaction } from '../store/store.js';

interface NodeEvidence {
  /** As the agent sent it; its form is between the attestor and its other half in the agent. */
  readonly payload: Buffer;
  /** SHA-256 of the agent's CSR, to which evidence may be bound so that it is good for no other key. */
  readonly csrHash: Buffer;
  readonly now: Date;
  /** Sends `data` to the agent and resolves with its answer. @throws BonafideError when the agent left or took too long. */
  readonly challenge: (data: Buffer) => Promise<Buffer>;
}

interface ProvenNode {
  /** `/spire/agent/<type of the attestor>/...`; the same node always gets the same. */
  readonly agentId: SpiffeId;
  readonly selectors: readonly Selector[];
  /** Whether the same evidence can prove the node again; if not, the agent must renew its SVID before it expires. */
  readonly canReattest: boolean;
  /**
   * Uses up what may be used only once. Runs inside the transaction that writes the node, so that both happen or neither.
   * @throws BonafideError `invalid_argument` when it was used up before.
   */
  readonly spend?: ((transaction: WriteTransaction) => Promise<void>) | undefined;
}

export interface NodeAttestor {
  /** @throws BonafideError `invalid_argument` or `permission_denied` when the evidence does not prove the node. */
  attest(evidence: NodeEvidence): Promise<ProvenNode>;
}

/** What the server lends its attestors. */
export interface NodeAttestorHost {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface NodeAttestorPlugin<Config> {
  readonly configSchema: z.ZodType<Config>;
  create(config: Config, host: NodeAttestorHost): NodeAttestor;
}
