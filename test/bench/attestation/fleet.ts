/** Nodes of one kind of attestation, as many as are needed. */
import type { NodeAttestor } from '@bonafide/agent/node-attestation/node-attestor';
import { createNodeAttestor, nodeAttestorSchema } from '@bonafide/agent/node-attestation/attestors';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';

export interface Fleet {
  readonly name: string;
  /** What stands in for what, if anything does. */
  readonly note?: string;
  /** Each index is another node, unless that kind of node may come again. */
  attestorOf(index: number): NodeAttestor;
}

/** The agent's half. @param config as in an agent's configuration, one type. */
export function agentHalf(config: object, joinToken?: string): NodeAttestor {
  return createNodeAttestor(nodeAttestorSchema.parse(config), {
    ...{ trustDomain: parseTrustDomain('example.org'), joinToken },
    ...{ clock: systemClock, log: silentLogger },
  });
}
