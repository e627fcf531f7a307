/** A process for the crash test: nodes ask, are approved and come in, and each step is named once it is done. */
import { writeSync } from 'node:fs';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { systemClock as clock } from '@bonafide/shared/runtime/clock';
import { openTestAudit } from '../audit/audit-fixtures.js';
import { exampleNode } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import { Metrics } from '../telemetry/metrics.js';
import { askingNode, policy } from './admission-fixtures.js';
import { AdmissionGate } from './admission-gate.js';
import { AdmissionNotices } from './admission-notices.js';
import { NodeAdmissions } from './node-admissions.js';

const MOST_NODES = 3_000;

const [path = '', auditPath = '', prefix = ''] = process.argv.slice(2);
const store = await openStore({ path, log });
const { audit } = await openTestAudit(auditPath);
const notices = new AdmissionNotices({ audit, metrics: new Metrics(), log });
const parts = { policy, store, notices, clock };
const gate = new AdmissionGate({ ...parts, webhook: undefined });
const people = new NodeAdmissions(parts);
for (let index = 0; index < MOST_NODES; index += 1) {
  const node = askingNode(`${prefix}-${index}`);
  const { agentId } = node;
  await gate.ask(node).catch(() => undefined); // it is to wait
  await people.approve({ agentId, by: 'uid:1', reason: '' });
  writeSync(1, `approved ${agentId}\n`);
  await store.write(async (transaction) => {
    const admitted = await gate.admit(transaction, node);
    await transaction.nodes.put(exampleNode({ agentId }));
    if (admitted !== undefined) await gate.admitted(admitted);
  });
  writeSync(1, `admitted ${agentId}\n`);
}
