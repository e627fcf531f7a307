/** A process for the crash test: puts nodes into quarantine by their proofs, and names each one once its verdict is out. */
import { writeSync } from 'node:fs';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { agentId as agentIdOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import { systemClock as clock } from '@bonafide/shared/runtime/clock';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { openTestAudit } from '../audit/audit-fixtures.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import type { ContinuousProof, NodeAttestor } from '../node-attestation/node-attestor.js';
import { exampleNode } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import { Metrics } from '../telemetry/metrics.js';
import { LastProven } from './last-proven.js';
import { NodeNotices } from './node-notices.js';
import { NodeProofs } from './prove-node.js';

const MOST_NODES = 100_000;

const [path = '', auditPath = '', prefix = ''] = process.argv.slice(2);
const trustDomain = parseTrustDomain('example.org');
const store = await openStore({ path, log });
const graph = await EntryGraph.load({ store, trustDomain, clock, log });
const continuous: ContinuousProof = {
  intervalSeconds: undefined,
  deadlineSeconds: 1800,
  prove: () =>
    Promise.resolve({
      record: 'bad',
      selectors: [],
      findings: [{ kind: 'policy', text: 'not as it must be' }],
    }),
  accept: (record) => record,
  facts: () => [],
};
const attestors = new Map<string, NodeAttestor>([
  ['join_token', { attest: () => Promise.reject(new Error('not here')), continuous }],
]);
const { audit } = await openTestAudit(auditPath);
const proofs = new NodeProofs({
  ...{ attestors, store, nodes: graph, clock, log },
  lastProven: new LastProven({ proofs: store.nodeProofs, clock, log }),
  notices: new NodeNotices({ audit, metrics: new Metrics(), log }),
  onProven: () => undefined,
});
for (let index = 0; index < MOST_NODES; index += 1) {
  const agentId = agentIdOf(trustDomain, 'x', `${prefix}-${index}`);
  await store.write(({ nodes }) => nodes.put(exampleNode({ agentId })));
  const challenge = (): Promise<Buffer> => Promise.resolve(Buffer.alloc(0));
  await proofs.prove({ agentId, type: 'join_token', certificateHash: Buffer.alloc(32), challenge });
  writeSync(1, `${agentId}\n`);
}
