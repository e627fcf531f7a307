import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { runServerProgram } from '@bonafide/server/cli/program';
import { Kubelet } from '@bonafide/testing/kubelet';
import { containerStatus, kubeletPod, newContainerId } from '@bonafide/testing/kubelet-pod';
import {
  createPodControlGroup,
  needsControlGroups,
  reasonForNoControlGroups,
  type ControlGroup,
} from '@bonafide/testing/control-group';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { WorkloadProcess } from '@bonafide/testing/workload-process';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const PERMISSION_DENIED = 7;

/** Resolves once the agent holds the entry. */
async function register(server: InProcessServer, parentId: string, name: string): Promise<void> {
  const host = createRecordedHost({ environment: { BONAFIDE_SERVER_SOCKET: server.socketPath } });
  const code = await runServerProgram(
    [
      ...['entry', 'create', '--parent-id', parentId, '--spiffe-id', `spiffe://example.org/${name}`],
      ...['--selector', 'k8s:ns:shop', '--selector', `k8s:sa:${name}`, '--wait=60s'],
    ],
    host,
  );
  expect([code, host.printed.stderr]).toEqual([0, '']);
}

/** Pods of the kernel's own control groups, each with one process that calls the Workload API. */
const isWithout = reasonForNoControlGroups() !== undefined;

describe.skipIf(isWithout)(`workloads in pods (${needsControlGroups()})`, () => {
  it('have the identities of their service accounts and of nobody else', async () => {
    await using kubelet = await Kubelet.start();
    using folder = createTemporaryDirectory();
    writeFileSync(folder.join('ca.pem'), kubelet.ca);
    writeFileSync(folder.join('token'), 'token-of-the-agent');
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const k8s = {
      ...{ kubelet_secure_port: kubelet.port, node_name: 'localhost' },
      ...{ kubelet_ca_path: folder.join('ca.pem'), token_path: folder.join('token') },
    };
    await using agent = await InProcessAgent.start({
      ...{ server, joinToken },
      config: { plugins: { WorkloadAttestor: { unix: {}, k8s } } },
    });
    for (const name of ['web', 'database']) await register(server, agentIdOf(joinToken), name);

    const groups: ControlGroup[] = [];
    const workloads: WorkloadProcess[] = [];
    /** @param group undefined: it is in no pod. */
    async function start(group: ControlGroup | undefined): Promise<WorkloadProcess> {
      const workload = await WorkloadProcess.start();
      workloads.push(workload);
      group?.add(workload.child.pid ?? 0);
      await workload.connect(agent.socketPath);
      return workload;
    }
    function podGroup(serviceAccount: string, namespace = 'shop'): ControlGroup {
      const id = newContainerId();
      const pod = kubeletPod({ serviceAccount, namespace, containers: [containerStatus('main', id)] });
      kubelet.pods.push(pod);
      const group = createPodControlGroup(pod.metadata.uid, id);
      groups.push(group);
      return group;
    }
    try {
      for (const name of ['web', 'database']) {
        const workload = await start(podGroup(name));
        const answer = await workload.message(workload.call(FETCH));
        expect(answer.toString('latin1')).toContain(`spiffe://example.org/${name}`);
        expect(answer.toString('latin1')).not.toContain(
          `spiffe://example.org/${name === 'web' ? 'database' : 'web'}`,
        );
      }
      for (const group of [podGroup('web', 'other'), podGroup('other'), undefined]) {
        const workload = await start(group);
        expect((await workload.status(workload.call(FETCH))).code).toBe(PERMISSION_DENIED);
      }
    } finally {
      for (const { child } of workloads) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
      for (const group of groups) group[Symbol.dispose]();
    }
  });
});
