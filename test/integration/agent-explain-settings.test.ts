/** What explanations say under other settings, of secrets of containers, and of a node in quarantine. */
import { runAgentProgram } from '@bonafide/agent/cli/program';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { TestContainerEngine } from '@bonafide/testing/container-engine';
import {
  createControlGroup,
  needsControlGroups,
  reasonForNoControlGroups,
} from '@bonafide/testing/control-group';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { canRunAsOthers } from '@bonafide/testing/run-as';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const WEB = { uid: 64_211, gid: 64_211 };
const SELF_EXPLAIN = 'bonafide.agent.v1.SelfExplain/ExplainCaller';
const SECRET = 'hunter2-of-the-container';

async function explain(...args: readonly string[]): Promise<string> {
  const host = createRecordedHost();
  await runAgentProgram(['explain', ...args], host);
  return host.printed.stdout + host.printed.stderr;
}

async function isConnected(agent: InProcessAgent): Promise<void> {
  await waitFor('the Workload API', () => agent.logged('Starting agent APIs') > 0);
}

async function explainedToItself(workload: WorkloadProcess, agent: InProcessAgent) {
  await workload.connect(agent.socketPath);
  const answer = await workload.message(workload.call(SELF_EXPLAIN));
  const { ExplainCaller } = loadService('bonafide.agent.v1.SelfExplain').definition;
  return ExplainCaller.responseDeserialize(answer);
}

describe.runIf(canRunAsOthers())('explanations under other settings (needs root)', () => {
  it('explain_to_workloads tells a process everything', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const selectors = [
      { type: 'unix', value: `uid:${WEB.uid}` },
      { type: 'unix', value: 'user:wbe' },
    ];
    const entryId = await server.createEntry(agentIdOf(joinToken), '/web', { selectors });
    const config = { agent: { explain_to_workloads: true } };
    await using agent = await InProcessAgent.start({ server, joinToken, config });
    await isConnected(agent);
    using workload = await WorkloadProcess.start(WEB);
    expect(await explainedToItself(workload, agent)).toMatchObject({
      isPartial: false,
      matched: [],
      nearMisses: [{ entryId, missing: [{ selector: { type: 'unix', value: 'user:wbe' } }] }],
      server: { problem: '', entries: [] },
      agent: { agentId: agentIdOf(joinToken), entries: 1 },
    });
  });

  it.runIf(reasonForNoControlGroups() === undefined)(
    `a secret of a container is in no line of the log, and in no answer to a workload, ${needsControlGroups()}`,
    async () => {
      const folder = createTemporaryDirectory({ isPublic: true });
      await using engine = await TestContainerEngine.start(folder.join('docker.sock'));
      await using server = await InProcessServer.start();
      const admin = folder.join('admin/admin.sock');
      await using agent = await InProcessAgent.start({
        server,
        config: {
          agent: { admin_socket_path: admin },
          plugins: {
            WorkloadAttestor: {
              unix: {},
              docker: { docker_socket_path: `unix://${folder.join('docker.sock')}` },
            },
          },
        },
      });
      await isConnected(agent);
      using workload = await WorkloadProcess.start(WEB);
      const pid = workload.child.pid ?? 0;
      const id = 'c0'.repeat(32);
      engine.containers.set(id, { id, pid, env: [`TOKEN=${SECRET}`], labels: { tier: 'web' } });
      using group = createControlGroup(`/docker/${id}`);
      group.add(pid);

      const own = JSON.stringify(await explainedToItself(workload, agent));
      expect(own).toContain('env:TOKEN=<redacted>');
      expect((await workload.status(workload.call('SpiffeWorkloadAPI/FetchX509SVID'))).code).toBe(7);
      // The agent's owner may know.
      expect(await explain('--pid', String(pid), '--socket-path', admin)).toContain(SECRET);
      const logged = JSON.stringify(agent.logLines);
      expect(logged).toContain('docker:env:TOKEN=<redacted>');
      expect(own + logged).not.toContain(SECRET);
      workload[Symbol.dispose]();
      await waitFor(
        'the workload to end',
        () => workload.child.exitCode !== null || workload.child.signalCode !== null,
      );
      folder.remove();
    },
  );

  it('says of a node in quarantine that it is, and nothing else', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const agentId = agentIdOf(joinToken);
    await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
    const folder = createTemporaryDirectory();
    const admin = folder.join('admin/admin.sock');
    await using agent = await InProcessAgent.start({
      ...{ server, joinToken },
      config: { agent: { admin_socket_path: admin } },
    });
    await agent.fetched('the SVID');
    await callUnary(server.local('bonafide.attestation.v1.NodeAdmission'), 'QuarantineAgent', {
      id: { trustDomain: 'example.org', path: agentId.slice('spiffe://example.org'.length) },
      reason: 'a drill',
    });
    const text = await waitFor('the verdict', async () => {
      const answer = await explain('--pid', String(process.pid), '--socket-path', admin);
      return answer.includes('this node is in quarantine') && answer;
    });
    expect(text).toMatch(/^Process \d+ \(.*\) has no identity: this node is in quarantine\n/);
    expect(text).toMatch(/in QUARANTINE: .* is in quarantine until an operator has looked at it/);
    expect(text).toContain("'bonafide-server agent release'");
    expect(text).not.toMatch(/entry create|What the server knows/);
    folder.remove();
  });
});
