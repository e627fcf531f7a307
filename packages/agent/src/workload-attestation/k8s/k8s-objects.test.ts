import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Kubelet } from '@bonafide/testing/kubelet';
import { kubeletPod } from '@bonafide/testing/kubelet-pod';
import type { KubernetesObjectReference } from '../kubernetes-object-reference.js';
import { startK8sNode, texts, type K8sNode } from './k8s-node-samples.js';

const never = (): AbortSignal => new AbortController().signal;
let node: K8sNode;
let attestor: K8sNode['attestor'];
let kubelet: Kubelet;

beforeEach(async () => {
  node = await startK8sNode();
  ({ attestor, kubelet } = node);
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

describe('a pod that a broker names', () => {
  const key = { namespace: 'shop', name: 'web-1' };

  it('is found by name, by UID and by both, on this node only', async () => {
    const pod = kubeletPod({ name: 'web-1' });
    kubelet.pods.push(kubeletPod(), pod);
    const asked = attestor();
    const { uid } = pod.metadata;
    for (const reference of [{ key }, { uid }, { key, uid }]) {
      const found = await texts(asked.attestObject(podReference(reference), never()));
      expect(found).toContain(`k8s:pod-uid:${uid}`);
    }
    const notFound = { reason: 'not_found' };
    for (const reference of [
      { key: { namespace: 'shop', name: 'web-2' } },
      { key: { namespace: 'other', name: 'web-1' } },
      { key, uid: kubeletPod().metadata.uid },
      { uid: kubeletPod().metadata.uid },
      {},
      { key, plural: 'deployments', group: 'apps' },
      { key, group: 'apps' },
    ]) {
      await expect(asked.attestObject(podReference(reference), never())).rejects.toMatchObject(notFound);
    }
  });

  it('is not known while the kubelet is not', async () => {
    await kubelet.stop();
    const asked = attestor();
    await expect(asked.attestObject(podReference({ key }), never())).rejects.toMatchObject({
      reason: 'unavailable',
    });
  });
});

function podReference(reference: Partial<KubernetesObjectReference>): KubernetesObjectReference {
  return { plural: 'pods', group: '', key: undefined, uid: undefined, ...reference };
}
