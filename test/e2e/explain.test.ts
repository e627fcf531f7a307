import { statSync } from 'node:fs';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { runCommand, type CommandResult } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const MISSPELT = { uid: 64_301, gid: 64_301 };
const ELSEWHERE = { uid: 64_302, gid: 64_302 };
const NODE = 'spiffe://example.org/node';
const OTHER_NODE = 'spiffe://example.org/other-node';

describe.runIf(canRunAsOthers())('explain, with the real programs (needs root)', () => {
  let directory: TemporaryDirectory;
  /** Of the admin socket, which must not be near the other one. */
  let privateDirectory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: LaunchedAgent;
  let admin: string;
  const workloads: WorkloadProcess[] = [];

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    privateDirectory = createTemporaryDirectory();
    admin = privateDirectory.join('admin/admin.sock');
    server = await launchServer({
      directory: directory.path,
      config: { server: { explain_to_agents: 'full' } },
      readyLimitMs: 120_000,
    });
    agent = await launchAgent({
      ...{ server, directory: directory.path, spiffeId: NODE },
      config: { agent: { admin_socket_path: admin } },
      readyLimitMs: 120_000,
    });
  });
  afterAll(async () => {
    for (const workload of workloads) workload[Symbol.dispose]();
    await agent.stop();
    await server.stop();
    directory.remove();
    privateDirectory.remove();
  });

  async function start(account: { uid: number; gid: number }): Promise<WorkloadProcess> {
    const workload = await WorkloadProcess.start(account);
    workloads.push(workload);
    return workload;
  }

  async function register(parent: string, path: string, ...selectors: readonly string[]): Promise<string> {
    const output = await server.commandOutput(
      ...['entry', 'create', '--parent-id', parent, '--spiffe-id', `spiffe://example.org${path}`],
      ...selectors.flatMap((selector) => ['--selector', selector]),
    );
    const id = /^Entry ID\s*: (\S+)$/m.exec(output)?.[1];
    if (id === undefined) throw new Error(`no entry id in ${output}`);
    return id;
  }

  async function explained(workload: WorkloadProcess, expected: string): Promise<CommandResult> {
    let last: CommandResult | undefined;
    return await waitFor(
      `${expected} in the explanation`,
      async () => {
        const args = ['explain', '--pid', String(workload.child.pid), '--config', agent.configPath];
        last = await runCommand('agent', args);
        return last.stdout.includes(expected) && last;
      },
      { limitMs: 150_000, explain: () => JSON.stringify(last) },
    );
  }

  it('names the misspelt selector and what it should be; corrected, the process is served', async () => {
    const entryId = await register(NODE, '/web', `unix:uid:${MISSPELT.uid}`, 'unix:path:/usr/bin/nodejs-20');
    const workload = await start(MISSPELT);
    const { code, stderr, stdout } = await explained(workload, `entry ${entryId}`);
    expect(code).toBe(1);
    expect(stderr).toBe('');
    expect(stdout).toContain('the process lacks 1 of its 2 selectors:');
    expect(stdout).toMatch(/unix:path:\/usr\/bin\/nodejs-20 +the process has unix:path:\//);

    await server.commandOutput(
      ...['entry', 'update', '--entry-id', entryId, '--parent-id', NODE],
      ...['--spiffe-id', 'spiffe://example.org/web', '--selector', `unix:uid:${MISSPELT.uid}`],
    );
    const corrected = await explained(workload, 'is spiffe://example.org/web');
    expect(corrected.code).toBe(0);
  });

  it('names the other parent when the server lets agents know', async () => {
    await server.commandOutput('token', 'generate', '--spiffe-id', OTHER_NODE);
    const entryId = await register(OTHER_NODE, '/elsewhere', `unix:uid:${ELSEWHERE.uid}`);
    const { stdout } = await explained(await start(ELSEWHERE), entryId);
    expect(stdout).toContain('exists under another parent: spiffe://example.org/other-node');
    expect(stdout).toContain('spiffe://example.org/elsewhere');
  });

  it('answers a process about itself, in both forms', async () => {
    const own = await agent.command(['explain']);
    expect(own.code).toBe(1);
    expect(own.stdout).toMatch(/^Process \d+ \(.*\) has no identity: no entry matches it\n/);
    const { stdout } = await agent.command(['explain', '--output', 'json']);
    expect(JSON.parse(stdout)).toMatchObject({ is_partial: true, near_misses: [], matched: [] });
  });

  it('keeps the admin socket for its owner', () => {
    expect(statSync(admin).mode & 0o777).toBe(0o600);
    expect(statSync(privateDirectory.join('admin')).mode & 0o777).toBe(0o700);
  });

  it('still answers without a server', async () => {
    const workload = await start(ELSEWHERE);
    await server.kill9();
    const { stdout } = await explained(workload, 'NOT connected to 127.0.0.1');
    expect(stdout).toContain('nothing was learned: the agent is not connected to it');
  });
});
