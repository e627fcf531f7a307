/** What every way of proving this node implements: evidence out, answers to the server's challenges, in as many rounds as it takes. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { z } from 'zod';

/** One attempt to attest, as the attestor sees it. */
interface AttestationExchange {
  /** SHA-256 of the CSR whose key the agent will hold, for evidence that is bound to it. */
  readonly csrHash: Buffer;
  /**
   * Sends the evidence first, then the answer to each challenge.
   * @returns the server's next challenge; undefined once the server is satisfied.
   * @throws BonafideError when the server refuses or cannot be reached.
   */
  send(data: Buffer): Promise<Buffer | undefined>;
}

/** One proof of a node that is attested, as the attestor sees it: the server speaks first. */
export interface ProofExchange {
  /** SHA-256 of the certificate (DER) with which the agent calls, to which evidence is bound. */
  readonly certificateHash: Buffer;
  /** The server's first challenge. */
  readonly challenge: Buffer;
  /** @returns the server's next challenge; undefined once it has come to a verdict. */
  send(data: Buffer): Promise<Buffer | undefined>;
}

export interface NodeAttestor {
  /** By which the server knows its other half, for example `join_token`. */
  readonly type: string;
  /** True when what it has to show can be shown only once, and was: another attempt would be in vain. */
  readonly isSpent: boolean;
  /** Returns when the server is satisfied. @throws BonafideError when the node cannot be proven. */
  attest(exchange: AttestationExchange): Promise<void>;
  /**
   * Proves the node once more, under the SVID it has. Absent: this kind of evidence cannot.
   * @throws BonafideError when the node cannot be proven.
   */
  prove?(exchange: ProofExchange): Promise<void>;
}

/** What the agent lends its attestors. */
export interface NodeAttestorHost {
  readonly trustDomain: TrustDomain;
  /** From `--join-token`, `join_token` or `join_token_file`. */
  readonly joinToken: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface NodeAttestorPlugin<Config> {
  readonly configSchema: z.ZodType<Config>;
  create(config: Config, host: NodeAttestorHost): NodeAttestor;
}

/** What the table of plugins holds: whatever a plugin's own configuration is. */
export interface AnyNodeAttestorPlugin {
  readonly configSchema: z.ZodType;
  create(config: never, host: NodeAttestorHost): NodeAttestor;
}
