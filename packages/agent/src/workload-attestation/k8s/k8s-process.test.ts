import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { formatPodList } from '@bonafide/testing/kubelet';
import { containerStatus, kubeletPod, newContainerId } from '@bonafide/testing/kubelet-pod';
import {
  createPodControlGroup,
  needsControlGroups,
  reasonForNoControlGroups,
} from '@bonafide/testing/control-group';
import { holdNamedProcess } from '../../endpoints/named-process.js';
import { createWorkloadAttestation, type AttestationCall } from '../attest-workload.js';
import { startK8sNode, texts } from './k8s-node-samples.js';

const isWithout = reasonForNoControlGroups() !== undefined;

describe.skipIf(isWithout)(`a real process in the control group of a pod (${needsControlGroups()})`, () => {
  it('has the selectors of its pod, and none once it has exited', async () => {
    await using node = await startK8sNode();
    const id = newContainerId();
    const pod = kubeletPod({ containers: [containerStatus('web', id)] });
    node.kubelet.pods.push(kubeletPod(), pod);
    using group = createPodControlGroup(pod.metadata.uid, id);
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    try {
      const { pid = 0 } = child;
      group.add(pid);
      const [found, exited] = [0, 1].map(() => {
        const attestors = new Map([['k8s', node.attestor()]]);
        return createWorkloadAttestation({ attestors, clock: systemClock, log: silentLogger });
      });
      const selectors = await texts(found?.(holdNamedProcess(pid), call()) ?? Promise.resolve([]));
      expect(selectors).toContain(`k8s:pod-uid:${pod.metadata.uid}`);
      expect(selectors).toContain('k8s:container-name:web');

      let answer: (() => void) | undefined;
      node.kubelet.fault = (_, response) => {
        answer = () => response.end(formatPodList(node.kubelet.pods));
      };
      const late = exited?.(holdNamedProcess(pid), call());
      late?.catch(() => undefined); // expected below
      await expect.poll(() => answer, { timeout: 30_000 }).toBeDefined();
      child.kill('SIGKILL');
      await once(child, 'exit');
      answer?.();
      await expect(late).rejects.toMatchObject({ reason: 'unauthenticated' });
    } finally {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
  });
});

function call(): AttestationCall {
  return { requestId: 'test', signal: new AbortController().signal };
}
