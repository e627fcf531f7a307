import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { runAgentProgram } from '@bonafide/agent/cli/program';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const WEB = { uid: 64_201, gid: 64_201 };
const MISSPELT = { uid: 64_202, gid: 64_299 };
const ELSEWHERE = { uid: 64_203, gid: 64_203 };
const EXPIRED = { uid: 64_204, gid: 64_204 };
const STRANGER = { uid: 64_205, gid: 64_205 };
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const OTHER_NODE = 'spiffe://example.org/spire/agent/join_token/another';

function uidSelector({ uid }: { readonly uid: number }) {
  return { type: 'unix', value: `uid:${uid}` };
}

async function explain(...args: readonly string[]) {
  const host = createRecordedHost();
  const code = await runAgentProgram(['explain', ...args], host);
  return { code, text: host.printed.stdout, errors: host.printed.stderr };
}

describe.runIf(canRunAsOthers())('bonafide-agent explain (needs root)', () => {
  let folder: TemporaryDirectory;
  let server: InProcessServer;
  let agent: InProcessAgent;
  let parent: string;
  let admin: string;
  const workloads: WorkloadProcess[] = [];
  const listeners: Server[] = [];

  beforeAll(async () => {
    folder = createTemporaryDirectory({ isPublic: true });
    server = await InProcessServer.start();
    const joinToken = await server.createToken();
    parent = agentIdOf(joinToken);
    admin = folder.join('admin/admin.sock');
    agent = await InProcessAgent.start({
      ...{ server, joinToken },
      config: { agent: { admin_socket_path: admin } },
    });
    await server.createEntry(parent, '/web', { selectors: [uidSelector(WEB)] });
    await waitFor('the Workload API', () => agent.logged('Starting agent APIs') > 0);
  });
  afterAll(async () => {
    for (const listener of listeners) listener.close();
    for (const workload of workloads) workload[Symbol.dispose]();
    await agent[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    folder.remove();
  });

  async function start(account: { uid: number; gid: number }): Promise<WorkloadProcess> {
    const workload = await WorkloadProcess.start(account);
    workloads.push(workload);
    return workload;
  }

  function explainPid({ child }: WorkloadProcess, ...more: readonly string[]) {
    return explain('--pid', String(child.pid), '--socket-path', admin, ...more);
  }

  async function untilExplained(workload: WorkloadProcess, expected: string | RegExp) {
    let last = '';
    return await waitFor(
      `${String(expected)} in the explanation`,
      async () => {
        const answer = await explainPid(workload);
        last = `${answer.text}${answer.errors}`;
        return (typeof expected === 'string' ? last.includes(expected) : expected.test(last)) && answer;
      },
      { explain: () => last },
    );
  }

  it('tells of a process that has an identity which, and until when', async () => {
    const workload = await start(WEB);
    const { code, errors, text } = await untilExplained(workload, ' is spiffe://example.org/web');
    expect([code, errors]).toEqual([0, '']);
    expect(text).toMatch(/^Process \d+ \(\S+\) is spiffe:\/\/example\.org\/web\n/);
    expect(text).toMatch(/X\.509-SVID until 2.*Z, renewed in /);
    expect(text).toMatch(/unix +\d+ ms +.*unix:uid:64201/);
    expect(text).not.toContain('What to do');
  });

  it('names the selector with the typing error', async () => {
    const entryId = await server.createEntry(parent, '/misspelt', {
      selectors: [uidSelector(MISSPELT), { type: 'unix', value: `gird:${MISSPELT.gid}` }],
    });
    const { code, errors, text } = await untilExplained(
      await start(MISSPELT),
      'spiffe://example.org/misspelt',
    );
    expect(code).toBe(1);
    expect(errors).toBe('');
    expect(text).toContain(
      `spiffe://example.org/misspelt  entry ${entryId}  the process lacks 1 of its 2 selectors:`,
    );
    expect(text).toContain(
      'unix:gird:64299  the process has unix:gid:64299: the same value under another name',
    );
    expect(text).toContain(`Replace unix:gird:64299 with unix:gid:64299 in entry ${entryId}`);
    expect(text).toContain('no other entry would match the process');
  });

  it('tells that the entry is under another parent, and no more than that', async () => {
    const entryId = await server.createEntry(OTHER_NODE, '/elsewhere', {
      selectors: [uidSelector(ELSEWHERE)],
    });
    const { code, text } = await untilExplained(await start(ELSEWHERE), entryId);
    expect(code).toBe(1);
    expect(text).toContain(`entry ${entryId}`);
    expect(text).toContain('hangs under a parent ID that no agent has');
    expect(text).not.toContain('spiffe://example.org/elsewhere');
    expect(text).toContain(`nobody has it; this agent has ${parent}`);
  });

  it('tells of an entry that expired while the process had it', async () => {
    const workload = await start(EXPIRED);
    await server.createEntry(parent, '/expired', {
      selectors: [uidSelector(EXPIRED)],
      expiresAt: Math.floor(Date.now() / 1000) + 5,
    });
    await untilExplained(workload, 'is spiffe://example.org/expired');
    const { text } = await untilExplained(workload, 'has no identity');
    expect(text).toMatch(/spiffe:\/\/example\.org\/expired +entry \S+ +expired, and went \d+s ago/);
    expect(text).toContain('Create the entry of spiffe://example.org/expired anew');
  });

  it('lists who is connected, and explains whoever listens on a socket', async () => {
    const [web, stranger] = await Promise.all([start(WEB), start(STRANGER)]);
    await Promise.all([web.connect(agent.socketPath), stranger.connect(agent.socketPath)]);
    const { code, text } = await explain('--connected', '--socket-path', admin);
    expect(code).toBe(0);
    expect(text).toMatch(
      new RegExp(`^${String(web.child.pid)} .* 64201 +1 +spiffe://example\\.org/web$`, 'm'),
    );
    expect(text).toMatch(
      new RegExp(`^${String(stranger.child.pid)} .* 64205 +1 +none: 'bonafide-agent explain`, 'm'),
    );

    const path = folder.join('own.sock');
    const listener = createServer().listen(path);
    listeners.push(listener);
    await once(listener, 'listening');
    const own = await explain('--socket-peer', path, '--socket-path', admin);
    expect(own.text).toContain(`Process ${process.pid} (`);
    const nobody = await explain('--socket-peer', folder.join('absent.sock'), '--socket-path', admin);
    expect([nobody.code, nobody.errors]).toEqual([1, expect.stringContaining('cannot learn who listens on')]);
  });

  it('tells a process about itself, but not what it lacks', async () => {
    const { definition } = loadService('bonafide.agent.v1.SelfExplain');
    const workload = await start(MISSPELT);
    await workload.connect(agent.socketPath);
    const answer = await workload.message(workload.call('bonafide.agent.v1.SelfExplain/ExplainCaller'));
    const explanation = definition.ExplainCaller.responseDeserialize(answer);
    expect(explanation).toMatchObject({
      process: { pid: workload.child.pid, uid: MISSPELT.uid },
      isPartial: true,
      matched: [],
      nearMisses: [],
      departed: [],
      server: null,
      agent: { agentId: '', serverAddress: '', entries: 0, isConnected: true },
    });
    const withoutHeader = workload.call('bonafide.agent.v1.SelfExplain/ExplainCaller', { headers: {} });
    expect((await workload.status(withoutHeader)).code).toBe(3);

    const { code, text } = await explain('--socket-path', agent.socketPath);
    expect(code).toBe(1);
    expect(text).toMatch(/^Process \d+ \(.*\) has no identity: no entry matches it\n/);
    expect(text).toContain(`Ask whoever runs the agent for 'bonafide-agent explain --pid ${process.pid}'`);
  });

  it('points to the command where it refuses a caller, with its selectors and the request', async () => {
    const workload = await start(STRANGER);
    await workload.connect(agent.socketPath);
    await workload.status(workload.call(FETCH));
    const line = agent.logLines.find(({ msg }) => msg.includes('no identity issued'));
    expect(line?.msg).toMatch(/'bonafide-agent explain --pid \d+' tells why$/);
    expect(line).toMatchObject({
      selectors: expect.arrayContaining(['unix:uid:64205']) as unknown,
      request_id: expect.stringMatching(/^[0-9a-f-]{36}$/) as unknown,
    });
  });

  it('is refused to other users, however open the socket: they are disconnected before they can ask', async () => {
    chmodSync(folder.join('admin'), 0o755);
    chmodSync(admin, 0o777);
    const workload = await start(STRANGER);
    await expect(workload.connect(admin)).rejects.toThrow(/^cannot connect: /);
    expect(agent.logged('Starting Admin APIs')).toBe(1);
    expect((await explainPid(workload)).text).toMatch(/^Process \d+ /);
  });

  it.each(['0', '-1', '1e3', 'web'])('refuses %s as a process ID', async (pid) => {
    const { code, errors } = await explain('--pid', pid, '--socket-path', admin);
    expect([code, errors]).toEqual([1, expect.stringContaining('is no process ID')]);
  });

  it('says so when there is no such process', async () => {
    const { code, errors } = await explain('--pid', '4194303', '--socket-path', admin);
    expect(code).toBe(1);
    expect(errors).toContain('there is no process 4194303');
  });

  it('tells what it knows while the server is away', async () => {
    const workload = await start(STRANGER);
    await server.stopServerOnly();
    const { text } = await untilExplained(workload, 'NOT connected to 127.0.0.1');
    expect(text).toContain('nothing was learned: the agent is not connected to it');
    expect(text).toContain('Bring back the connection to the server 127.0.0.1');
    const web = workloads[0];
    if (web !== undefined) expect((await explainPid(web)).code).toBe(0);
  });
});
