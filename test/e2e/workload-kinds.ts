/** Workloads of each kind on a node: a process in the control group that its runtime would make, which that runtime tells of. */
import type { TestContainer } from '@bonafide/testing/container-engine';
import { containerStatus, kubeletPod, newContainerId } from '@bonafide/testing/kubelet-pod';
import type { Account } from '@bonafide/testing/run-as';
import type { WorkloadProcess } from '@bonafide/testing/workload-process';
import { pidOf, type WorkloadNode } from './workload-node.js';

/** As systemd's driver names it, so that it is a unit as well. */
export async function inDocker(
  node: WorkloadNode,
  container: Partial<TestContainer>,
  account?: Account,
): Promise<WorkloadProcess> {
  const id = newContainerId();
  const unit = `docker-${id}.scope`;
  node.units.set(unit, { Id: unit, FragmentPath: `/run/systemd/transient/${unit}` });
  const workload = await node.process(`/system.slice/${unit}`, account);
  node.docker.run({ id, pid: pidOf(workload), ...container });
  return workload;
}

/** @param parent decides whose Podman it is. */
export async function inPodman(
  node: WorkloadNode,
  parent: string,
  container: Partial<TestContainer> = {},
  account?: Account,
): Promise<WorkloadProcess> {
  const id = newContainerId();
  const workload = await node.process(`${parent}/libpod-${id}.scope/container`, account);
  const engine = parent.startsWith('/user.slice/') ? node.rootless : node.podman;
  engine.run({ id, pid: pidOf(workload), image: 'docker.io/library/pay:1', ...container });
  return workload;
}

export async function inPod(
  node: WorkloadNode,
  serviceAccount: string,
  account?: Account,
): Promise<WorkloadProcess> {
  const containerId = newContainerId();
  const pod = kubeletPod({ serviceAccount, containers: [containerStatus('main', containerId)] });
  node.kubelet.pods.push(pod);
  return await node.process(`/kubepods-bonafide/pod${pod.metadata.uid}/${containerId}`, account);
}
