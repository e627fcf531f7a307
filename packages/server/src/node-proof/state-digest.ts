/** Names what an operator looked at, so that nothing else is released from quarantine. */
import { createHash } from 'node:crypto';
import type { NodeFact } from '../node-attestation/node-attestor.js';
import type { NodeFinding } from '../store/node-record.js';

const LENGTH = 32;

/** Lower-case hex. */
export function stateDigest(findings: readonly NodeFinding[], facts: readonly NodeFact[]): string {
  const looked = {
    findings: findings.map(({ kind, text, bank, pcr, before, after, event }) => [
      ...[kind, text, bank, pcr, before, after, event].map((part) => part ?? ''),
    ]),
    facts: facts.map(({ name, value }) => [name, value]),
  };
  return createHash('sha256').update(JSON.stringify(looked)).digest('hex').slice(0, LENGTH);
}
