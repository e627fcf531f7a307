/** What every way of proving a node implements: evidence in, an agent ID and selectors out, in as many rounds as it takes. */
import type { Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { z } from 'zod';
import type { NodeFinding } from '../store/node-record.js';
import type { Store, WriteTransaction } from '../store/store.js';

export interface NodeEvidence {
  /** As the agent sent it; its form is between the attestor and its other half in the agent. */
  readonly payload: Buffer;
  /** SHA-256 of the agent's CSR, to which evidence may be bound so that it is good for no other key. */
  readonly csrHash: Buffer;
  readonly now: Date;
  /** Sends `data` to the agent and resolves with its answer. @throws BonafideError when the agent left or took too long. */
  readonly challenge: (data: Buffer) => Promise<Buffer>;
  /** What the attestor noted of that agent when it last proved itself; undefined for one that never did. */
  readonly recall: (agentId: SpiffeId) => Promise<string | undefined>;
}

export interface ProvenNode {
  /** `/spire/agent/<type of the attestor>/...`; the same node always gets the same. */
  readonly agentId: SpiffeId;
  /** Operators gave the path of the ID a form of its own, under `/spire/agent/`. */
  readonly hasConfiguredPath?: boolean;
  readonly selectors: readonly Selector[];
  /** Whether the same evidence can prove the node again; if not, the agent must renew its SVID before it expires. */
  readonly canReattest: boolean;
  /**
   * The evidence can be shown by whoever was on the node: it counts for an agent that has not attested yet, and not again
   * (SPIRE's "trust on first use").
   */
  readonly isTrustedOnFirstUse?: boolean;
  /** JSON, to be recalled at the next proof. Undefined: there is nothing to note. */
  readonly record?: string | undefined;
  /**
   * The node is the one it says, but not in the state that it must be in: one that is known goes into quarantine, one that is not is
   * turned away.
   */
  readonly findings?: readonly NodeFinding[];
  /**
   * Uses up what may be used only once. Runs inside the transaction that writes the node, so that both happen or neither.
   * @throws BonafideError `invalid_argument` when it was used up before.
   */
  readonly spend?: ((transaction: WriteTransaction) => Promise<void>) | undefined;
}

/** A node that is attested proves itself once more, without a new SVID. */
export interface ProofEvidence {
  readonly agentId: SpiffeId;
  /** SHA-256 of the certificate (DER) with which the agent calls; evidence is bound to it. */
  readonly certificateHash: Buffer;
  /** What the attestor noted last; undefined when an operator had it forget. */
  readonly record: string | undefined;
  readonly now: Date;
  readonly challenge: (data: Buffer) => Promise<Buffer>;
}

export interface NodeProof {
  /** In place of the last one, also when there are findings: it says what the node is now, and what it is meant to be. */
  readonly record: string;
  /** As they are now. */
  readonly selectors: readonly Selector[];
  /** What policy does not allow; none: the node is as it must be. */
  readonly findings: readonly NodeFinding[];
}

/** What is known of a node by its record, for people. */
export interface NodeFact {
  readonly name: string;
  readonly value: string;
}

/** Proof at any time, for attestors whose nodes can give it. */
export interface ContinuousProof {
  /** How often each node is asked; undefined: only when an operator does. */
  readonly intervalSeconds: number | undefined;
  /** A node that is connected and has not proven itself for so long goes into quarantine. */
  readonly deadlineSeconds: number;
  /** @throws BonafideError `permission_denied` or `invalid_argument` when the evidence is not that node's, or is malformed. */
  prove(evidence: ProofEvidence): Promise<NodeProof>;
  /** What the node showed last is what it is meant to be from now on. */
  accept(record: string): string;
  facts(record: string): readonly NodeFact[];
}

export interface NodeAttestor {
  /** @throws BonafideError `invalid_argument` or `permission_denied` when the evidence does not prove the node. */
  attest(evidence: NodeEvidence): Promise<ProvenNode>;
  readonly continuous?: ContinuousProof;
}

/** What the server lends its attestors. */
export interface NodeAttestorHost {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: Store;
  /** Fires when the server stops; whatever an attestor keeps running ends with it. */
  readonly signal: AbortSignal;
}

export interface NodeAttestorPlugin<Config> {
  readonly configSchema: z.ZodType<Config>;
  /** May read files. @throws BonafideError saying what to mend. */
  create(config: Config, host: NodeAttestorHost): NodeAttestor | Promise<NodeAttestor>;
}

/** What the table of plugins holds: whatever a plugin's own configuration is. */
export interface AnyNodeAttestorPlugin {
  readonly configSchema: z.ZodType;
  create(config: never, host: NodeAttestorHost): NodeAttestor | Promise<NodeAttestor>;
}
