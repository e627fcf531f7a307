/** A node of Kubernetes for tests: a kubelet, an agent's attestor that asks it, and processes in control groups. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { formatSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { FakeClock } from '@bonafide/testing/fake-clock';
import { Kubelet } from '@bonafide/testing/kubelet';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import type { AttestedProcess } from '../attested-process.js';
import { attestorHost } from '../attestor-host-samples.js';
import type { WorkloadAttestor } from '../workload-attestor.js';
import { k8s } from './k8s.js';

export interface K8sNode extends AsyncDisposable {
  readonly kubelet: Kubelet;
  /** @param config besides what is needed to reach the kubelet. */
  readonly attestor: (config?: object, clock?: FakeClock) => Required<WorkloadAttestor>;
  /** A folder in the form of procfs, of a process in those control groups. */
  readonly processIn: (...paths: readonly string[]) => AttestedProcess;
}

export async function startK8sNode(): Promise<K8sNode> {
  const directory = createTemporaryDirectory();
  const kubelet = await Kubelet.start();
  writeFileSync(directory.join('ca.pem'), kubelet.ca);
  writeFileSync(directory.join('token'), 'token-of-the-agent\n');
  const attestors: WorkloadAttestor[] = [];
  let processes = 0;
  return {
    kubelet,
    attestor: (config = {}, clock) => {
      const file = {
        ...{ kubelet_secure_port: kubelet.port, kubelet_ca_path: directory.join('ca.pem') },
        ...{ token_path: directory.join('token'), ...config },
      };
      const host = attestorHost(clock === undefined ? {} : { clock });
      const made = k8s.create(k8s.configSchema.parse(file), host);
      attestors.push(made);
      return made as Required<WorkloadAttestor>;
    },
    processIn: (...paths) => {
      processes += 1;
      const procPath = directory.join(`proc-${processes}`);
      mkdirSync(procPath);
      writeFileSync(`${procPath}/cgroup`, paths.map((path, index) => `${index}::${path}\n`).join(''));
      return { pid: 7, uid: 1000, gid: 1000, procPath, isAlive: () => true };
    },
    [Symbol.asyncDispose]: async () => {
      for (const attestor of attestors) attestor.close?.();
      await kubelet[Symbol.asyncDispose]();
      directory.remove();
    },
  };
}

/** As systemd's driver names it. */
export function systemdPath(uid: string, id: string): string {
  const pod = uid.replaceAll('-', '_');
  return `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${pod}.slice/cri-containerd-${id}.scope`;
}

/** As text, sorted. */
export async function texts(selectors: Promise<readonly Selector[]>): Promise<readonly string[]> {
  return (await selectors).map(formatSelector).sort();
}
