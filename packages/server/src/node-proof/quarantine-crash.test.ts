import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { linesUntilKilled } from '@bonafide/testing/lines-until-killed';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { openStore } from '../store/open-store.js';

const PROGRAM = new URL('quarantine-until-killed.ts', import.meta.url);

it('kill -9 loses no quarantine whose verdict was out, nor its audit event, nor its record', async () => {
  using directory = createTemporaryDirectory();
  const path = directory.join('store.sqlite3');
  const auditPath = directory.join('audit.log');
  for (const prefix of ['a', 'b']) {
    const told = await linesUntilKilled(PROGRAM, [path, auditPath, prefix], 10);
    expect(told.length).toBeGreaterThanOrEqual(10);
    const audit = readFileSync(auditPath, 'utf8');
    const store = await openStore({ path, log: silentLogger });
    for (const text of told) {
      const agentId = parseSpiffeId(text);
      expect((await store.nodes.get(agentId))?.quarantine?.findings).toMatchObject([{ kind: 'policy' }]);
      expect(await store.nodeProofs.get(agentId)).toMatchObject({ record: 'bad' });
      expect(audit).toMatch(new RegExp(`"event":"agent_quarantined",.*"agent_id":"${text}"`));
    }
    // Node and record were written together, or not at all.
    for await (const nodes of store.nodes.all()) {
      for (const { agentId, quarantine } of nodes) {
        const isNoted = (await store.nodeProofs.get(agentId)) !== undefined;
        expect([agentId, quarantine !== undefined]).toEqual([agentId, isNoted]);
      }
    }
    await store.close();
  }
});
