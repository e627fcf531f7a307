/** Invariant 8 on a full disk: what cannot be audited does not happen. */
import { rmSync } from 'node:fs';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { canMount, SmallDisk } from '../faults/small-disk.js';
import { AUDITED_METHODS, AuditedServer, chainProblems } from './audited-server.js';
import { callWithNothing } from './call-with-nothing.js';
import type { InProcessServer } from './server-in-process.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const ENTRY = 'spire.api.server.entry.v1.Entry';
const SETTLE = 120_000;

describe.skipIf(!canMount())('without room for the audit log', () => {
  it(
    'nothing is issued or changed, every RPC says why, and it goes on by itself when there is room',
    async () => {
      using directory = createTemporaryDirectory();
      const folder = directory.join('disk');
      using disk = SmallDisk.mount(folder, 8);
      const path = `${folder}/audit.log`;
      await using audited = await AuditedServer.start(path);
      const { server } = audited;
      const count = async (): Promise<number> =>
        (await callUnary(server.local(ENTRY), 'CountEntries', {})).count;
      const before = { entries: await count(), agents: await agents(server) };
      disk.fill();
      const wrong: string[] = [];
      // What still fits into the last page of the file is written, and answered.
      const made = (): Promise<string> =>
        server.createToken().then(
          () => 'made',
          (error: unknown) => errorMessage(error),
        );
      await expect.poll(made, { timeout: 60_000 }).toMatch(/audit log/);
      for (const method of AUDITED_METHODS) {
        const failure = await callWithNothing(audited.clientFor(method.path), method);
        if (failure?.code !== status.UNAVAILABLE || !failure.details.includes('audit log'))
          wrong.push(`${method.path}: ${failure?.details ?? 'ok'}`);
      }
      expect(wrong).toEqual([]);
      await expect(server.createEntry(audited.agent.spiffeId, '/full')).rejects.toMatchObject({
        reason: 'unavailable',
      });
      expect({ entries: await count(), agents: await agents(server) }).toEqual(before);
      expect(await callUnary(server.local(BUNDLE), 'GetBundle', {})).toBeDefined();

      disk.free();
      await expect.poll(made, { timeout: 60_000 }).toBe('made');
      await server.createEntry(audited.agent.spiffeId, '/room');
      expect(await chainProblems(path)).toEqual([]);
      await server.stop();
      rmSync(`${folder}/filler`, { force: true });
    },
    SETTLE,
  );
});

async function agents(server: InProcessServer): Promise<number> {
  return (await callUnary(server.local(AGENT), 'CountAgents', {})).count;
}
