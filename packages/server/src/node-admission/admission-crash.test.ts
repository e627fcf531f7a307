import { readFileSync } from 'node:fs';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { linesUntilKilled } from '@bonafide/testing/lines-until-killed';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { expect, it } from 'vitest';
import { openStore } from '../store/open-store.js';

const PROGRAM = new URL('admit-until-killed.ts', import.meta.url);

it('kill -9 loses no approval, no node that came in, and none of their audit events', async () => {
  using directory = createTemporaryDirectory();
  const path = directory.join('store.sqlite3');
  const auditPath = directory.join('audit.log');
  for (const prefix of ['a', 'b', 'c']) {
    const told = await linesUntilKilled(PROGRAM, [path, auditPath, prefix], 20);
    const audit = readFileSync(auditPath, 'utf8');
    const store = await openStore({ path, log: silentLogger });
    for (const line of told) {
      const [step = '', text = ''] = line.split(' ');
      const agentId = parseSpiffeId(text);
      const node = await store.nodes.get(agentId);
      const admission = await store.nodeAdmissions.get(agentId);
      // Approved and waiting, or in and the approval used up: never both, never neither.
      expect([line, node === undefined]).toEqual([line, admission !== undefined]);
      if (step === 'admitted') expect(node).toBeDefined();
      if (admission !== undefined) expect(admission.decisions).toMatchObject([{ by: 'uid:1' }]);
      expect(audit).toMatch(lineOf(`node_${step}`, text));
    }
    for await (const nodes of store.nodes.all()) {
      for (const { agentId } of nodes) {
        expect(audit).toMatch(lineOf('node_admitted', agentId));
        expect(await store.nodeAdmissions.get(agentId)).toBeUndefined();
      }
    }
    await store.close();
  }
});

function lineOf(event: string, agentId: string): RegExp {
  return new RegExp(`"event":"${event}",.*"agent_id":"${agentId}"`);
}
