import { runAgentProgram } from '@bonafide/agent/cli/program';
import { runServerProgram } from '@bonafide/server/cli/program';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const EAGER = 'spiffe://example.org/eager';
const LAZY = 'spiffe://example.org/lazy';
const NEVER_ASKED = 'spiffe://example.org/never-asked';

interface Holding {
  readonly spiffe_id: string;
  readonly cause: string;
  readonly is_in_use: boolean;
}

describe('entry create --disable-x509-svid-prefetch', () => {
  let server: InProcessServer;
  let agent: InProcessAgent;
  let workload: WorkloadProcess;
  let folder: TemporaryDirectory;
  let adminSocket: string;
  let agentId: string;

  beforeAll(async () => {
    server = await InProcessServer.start();
    const joinToken = await server.createToken();
    agentId = agentIdOf(joinToken);
    folder = createTemporaryDirectory({ isPublic: true });
    adminSocket = folder.join('admin/admin.sock');
    agent = await InProcessAgent.start({
      ...{ server, joinToken },
      config: { agent: { admin_socket_path: adminSocket } },
    });
    workload = await WorkloadProcess.start();
  });
  afterAll(async () => {
    workload[Symbol.dispose]();
    await agent[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    folder.remove();
  });

  async function createEntry(spiffeId: string, ...flags: readonly string[]): Promise<string> {
    const own = ['--spiffe-id', spiffeId, '--parent-id', agentId, '--socket-path', server.socketPath];
    return await printed(runServerProgram, ['entry', 'create', ...own, ...flags]);
  }

  async function printed(run: typeof runServerProgram, args: readonly string[]): Promise<string> {
    const host = createRecordedHost();
    const code = await run(args, host);
    expect({ code, stderr: host.printed.stderr }).toEqual({ code: 0, stderr: '' });
    return host.printed.stdout;
  }

  /** By SPIFFE ID. */
  async function survival(): Promise<ReadonlyMap<string, Holding>> {
    const args = ['survival', '--socket-path', adminSocket, '--output', 'json'];
    const { workloads } = JSON.parse(await printed(runAgentProgram, args)) as { workloads: Holding[] };
    return new Map(workloads.map((holding) => [holding.spiffe_id, holding]));
  }

  async function heldSvids(): Promise<number> {
    const args = ['debug', 'getinfo', '--socket-path', adminSocket, '--output', 'json'];
    const info = JSON.parse(await printed(runAgentProgram, args)) as { cached_x509_svids_count: number };
    return info.cached_x509_svids_count;
  }

  it('leaves the agent without an SVID until a workload asks, and again once the last has left', async () => {
    const own = `unix:${OWN_SELECTOR.value}`;
    const noPrefetch = '--disable-x509-svid-prefetch';
    expect(await createEntry(LAZY, '--selector', own, noPrefetch)).toMatch(/^Entry ID/m);
    // As SPIRE spells it.
    await createEntry(NEVER_ASKED, '-selector', 'unix:uid:4294967294', '-disableX509SVIDPrefetch');
    await createEntry(EAGER, '--selector', 'unix:uid:4294967294');

    // Entries come in the order in which they were made, so whoever has the last has them all.
    await waitFor('the SVID of the entry that has the switch not', async () => (await heldSvids()) === 1);
    const before = await survival();
    expect([...before.keys()].sort()).toEqual([EAGER, LAZY, NEVER_ASKED]);
    expect(before.get(EAGER)?.cause).not.toBe('NO_SVID');
    for (const id of [LAZY, NEVER_ASKED]) {
      expect(before.get(id)).toMatchObject({ cause: 'NO_SVID', is_in_use: false });
    }

    await workload.connect(agent.socketPath);
    const call = workload.call(FETCH);
    expect((await workload.message(call)).includes(LAZY)).toBe(true);
    expect(await heldSvids()).toBe(2);
    const meanwhile = await survival();
    expect(meanwhile.get(LAZY)?.cause).not.toBe('NO_SVID');
    expect(meanwhile.get(LAZY)?.is_in_use).toBe(true);
    expect(meanwhile.get(NEVER_ASKED)?.cause).toBe('NO_SVID');

    workload.cancel(call);
    await waitFor('the SVID to be let go of', async () => (await heldSvids()) === 1);
    expect((await survival()).get(LAZY)).toMatchObject({ cause: 'NO_SVID', is_in_use: false });
  });
});
