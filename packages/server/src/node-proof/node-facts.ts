/** What is noted of a node, in the words of the attestor that noted it. */
import type { NodeAttestor, NodeFact } from '../node-attestation/node-attestor.js';
import type { NodeProofRecord } from '../store/node-record.js';

/** Empty where nothing is noted, or the attestor is no longer enabled. */
export function factsOf(
  noted: NodeProofRecord | undefined,
  attestor: NodeAttestor | undefined,
): readonly NodeFact[] {
  if (noted?.record === undefined) return [];
  return attestor?.continuous?.facts(noted.record) ?? [];
}
