/** Disks run full: what cannot be kept is refused with a remedy or lives in memory, everything else goes on, and space is all it takes. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { isServing } from '@bonafide/testing/health';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { adminClient, attestByToken, authoritiesOf } from './admin-client.js';
import { CallingWorkloads } from './calling-workloads.js';
import { canMount, SmallDisk } from './small-disk.js';

const ENTRY = 'spire.api.server.entry.v1.Entry';
const REMEDY = 'is full; nothing was changed, free some space and try again';

/** Creates entries one by one. @returns the ids of those that were acknowledged. */
async function createEntries(
  server: LaunchedServer,
  prefix: string,
  count: number,
): Promise<readonly string[]> {
  const { trustDomain } = server;
  const client = adminClient(server, ENTRY);
  const ids: string[] = [];
  try {
    for (let index = 0; index < count; index += 1) {
      const { results } = await callUnary(client, 'BatchCreateEntry', {
        entries: [
          {
            spiffeId: { trustDomain, path: `/${prefix}/${index}` },
            parentId: { trustDomain, path: '/nobody' },
            selectors: [{ type: 'unix', value: `uid:${index}` }],
          },
        ],
      });
      ids.push(results[0]?.entry?.id ?? '');
    }
  } finally {
    client.close();
  }
  return ids;
}

async function entryIds(server: LaunchedServer): Promise<readonly string[]> {
  const client = adminClient(server, ENTRY);
  try {
    return (await callUnary(client, 'ListEntries', {})).entries.map(({ id }) => id).sort();
  } finally {
    client.close();
  }
}

describe.runIf(canMount())('a full disk (needs root that may mount)', () => {
  it('makes the server refuse writes with a remedy, serve everything else, and go on when there is space', async () => {
    using directory = createTemporaryDirectory();
    using disk = SmallDisk.mount(directory.join('server'), 4);
    await using server = await launchServer({
      directory: directory.path,
      // Its log is on the same disk, and must not take it down. The audit log is not: without it nothing is issued, which other tests see.
      config: {
        server: {
          log_file: join(disk.path, 'server.log'),
          audit_log_path: directory.join('audit.log'),
          ratelimit: { attestation: false },
        },
      },
    });
    const authorities = await authoritiesOf(server);
    const acknowledged = [...(await createEntries(server, 'before', 5))];
    const agents = adminClient(server, 'spire.api.server.agent.v1.Agent');
    const { value: token } = await callUnary(agents, 'CreateJoinToken', { ttl: 600 });
    agents.close();

    disk.fill();
    for (let attempt = 0; attempt < 5; attempt += 1) {
      await expect(createEntries(server, `full-${attempt}`, 1)).rejects.toSatisfy(
        (error) => hasReason(error, 'unavailable') && error.message.includes(REMEDY),
      );
    }
    const client = adminClient(server, ENTRY);
    await expect(callUnary(client, 'BatchDeleteEntry', { ids: acknowledged })).rejects.toThrow(REMEDY);
    client.close();
    const command = ['entry', 'create', '--parent-id', 'spiffe://example.org/nobody'];
    const created = await server.command(
      ...[...command, '--spiffe-id', 'spiffe://example.org/x', '--selector', 'unix:uid:1'],
    );
    expect(created.code).toBe(1);
    expect(created.stderr).toContain(REMEDY);
    await expect(attestByToken(server, token, authorities)).rejects.toThrow(REMEDY);

    expect(await isServing(server.socketPath)).toBe(true);
    expect(await entryIds(server)).toEqual([...acknowledged].sort());
    expect(await authoritiesOf(server)).toEqual(authorities);
    expect(
      await server.commandOutput('x509', 'mint', '--spiffe-id', 'spiffe://example.org/minted'),
    ).toContain('BEGIN CERTIFICATE');

    disk.free();
    acknowledged.push(...(await createEntries(server, 'after', 5)));
    expect(await attestByToken(server, token, authorities)).not.toBe(''); // it was not spent in vain
    expect(await entryIds(server)).toEqual([...acknowledged].sort());

    disk.fill();
    await server.kill9();
    await server.process.start().catch((error: unknown) => {
      // It may need space to start; then it says so.
      expect(String(error)).toMatch(/ended with code 1[\s\S]*full|no space left/);
    });
    disk.free();
    if (!server.process.isRunning) await server.process.start();
    expect(await entryIds(server)).toEqual([...acknowledged].sort());
    expect(await authoritiesOf(server)).toEqual(authorities);
    acknowledged.push(...(await createEntries(server, 'again', 5)));
    expect(await entryIds(server)).toEqual([...acknowledged].sort());
  });

  it('leaves the agent serving from memory, which it says, and does not cost it its identity', async () => {
    using directory = createTemporaryDirectory();
    using disk = SmallDisk.mount(directory.join('agent'), 1);
    await using server = await launchServer({
      directory: directory.path,
      config: { server: { agent_ttl: '20s' } },
    });
    await using agent = await launchAgent({ server, directory: directory.path });
    using workloads = await CallingWorkloads.start({ server, agent, directory: directory.path });
    const identity = await readFile(join(agent.dataDirectory, 'agent-svid.json'), 'utf8');

    disk.fill();
    await workloads.renew();
    const output = (): string => agent.process.output;
    await waitFor('the agent to tell of its SVIDs', () =>
      /cannot keep an SVID on disk, it lives in memory only: .*no space left/.test(output()),
    );
    await waitFor('the agent to tell of its entries', () =>
      /cannot keep the entries on disk, they live in memory only: .*no space left/.test(output()),
    );
    await waitFor(
      'the agent to tell of its identity',
      () => /cannot renew the agent SVID: .*no space left/.test(output()),
      {
        limitMs: 150_000,
      },
    );
    await workloads.renew();

    disk.free();
    await waitFor(
      'the agent to keep its renewed identity',
      async () => {
        const now = await readFile(join(agent.dataDirectory, 'agent-svid.json'), 'utf8');
        return now !== identity;
      },
      { limitMs: 150_000, explain: output },
    );
    await workloads.renew();
    await agent.kill9();
    await agent.process.start();
    await workloads.renew();
    const counts = await workloads.stop();
    expect(counts.failed, workloads.lastWords()).toBe(0);
    expect(output().match(/Starting node attestation/g)?.length).toBe(1);
  });

  it('does not cost an agent the join token that it attests with', async () => {
    using directory = createTemporaryDirectory();
    using disk = SmallDisk.mount(directory.join('agent'), 1);
    await using server = await launchServer({ directory: directory.path });
    disk.fill();
    await using agent = await launchAgent({ server, directory: directory.path });
    expect(agent.process.output).toMatch(/cannot keep the agent SVID on disk.*no space left/);
    using workloads = await CallingWorkloads.start({ server, agent, directory: directory.path });
    disk.free();
    await waitFor(
      'the agent to keep its identity',
      () => readFile(join(agent.dataDirectory, 'agent-svid.json'), 'utf8').catch(() => undefined),
      { limitMs: 150_000 },
    );
    await agent.kill9();
    await agent.process.start();
    await workloads.renew();
    expect((await workloads.stop()).failed, workloads.lastWords()).toBe(0);
  });
});
