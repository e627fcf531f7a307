import { parseServer } from '@bonafide/shared/kubernetes/cluster-access';
import { KubernetesApiServer, sendJson } from '@bonafide/testing/kubernetes-api-server';
import { containerStatus, kubeletPod, newContainerId } from '@bonafide/testing/kubelet-pod';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startK8sNode, systemdPath, texts } from './k8s-node-samples.js';
import { NamespaceLabels } from './namespace-labels.js';
import { namespaceLabelSelectors } from './pod-selectors.js';

let api: KubernetesApiServer;
let labels: NamespaceLabels;

beforeEach(async () => {
  api = await KubernetesApiServer.start();
  labels = new NamespaceLabels(() =>
    Promise.resolve({
      server: parseServer(`https://localhost:${api.port}`),
      tls: { ca: api.ca },
      bearerToken: api.callerToken,
    }),
  );
});
afterEach(async () => {
  labels.close();
  await api[Symbol.asyncDispose]();
});

function namespaceIs(metadata: object): void {
  api.lie = (_, response) => {
    sendJson(response, 200, { apiVersion: 'v1', kind: 'Namespace', metadata: { uid: 'a1b2', ...metadata } });
  };
}

describe('the labels of a namespace', () => {
  it('are selectors', async () => {
    namespaceIs({ name: 'shop', labels: { team: 'shop', 'kubernetes.io/metadata.name': 'shop' } });
    expect(await texts(labels.of('shop').then(namespaceLabelSelectors))).toEqual([
      'k8s:ns-label:kubernetes.io/metadata.name:shop',
      'k8s:ns-label:team:shop',
    ]);
    expect(api.requests).toEqual(['GET /api/v1/namespaces/shop']);
  });

  it('are asked for once for all at once, and anew for who comes later', async () => {
    namespaceIs({ name: 'shop', labels: { team: 'a' } });
    await Promise.all([labels.of('shop'), labels.of('shop'), labels.of('shop')]);
    expect(api.requests).toHaveLength(1);
    namespaceIs({ name: 'shop', labels: { team: 'b' } });
    expect(await labels.of('shop')).toEqual({ team: 'b' });
  });

  it('are none for a namespace that has none', async () => {
    namespaceIs({ name: 'shop' });
    expect(await labels.of('shop')).toEqual({});
  });

  it('are not those of another namespace, nor of one that is gone', async () => {
    namespaceIs({ name: 'other', labels: { team: 'shop' } });
    await expect(labels.of('shop')).rejects.toThrow('another namespace');
    api.lie = undefined;
    await expect(labels.of('shop')).rejects.toMatchObject({ reason: 'not_found' });
  });
});

describe('an agent that is in no pod', () => {
  it('says that it cannot ask for the labels of namespaces, instead of leaving them out', async () => {
    await using node = await startK8sNode();
    const id = newContainerId();
    const pod = kubeletPod({ containers: [containerStatus('web', id)] });
    node.kubelet.pods.push(pod);
    const attestor = node.attestor({ enable_namespace_labels: true });
    const process = node.processIn(systemdPath(pod.metadata.uid, id));
    await expect(attestor.attest(process, new AbortController().signal)).rejects.toThrow(
      'this process is not in a pod of a Kubernetes cluster (KUBERNETES_SERVICE_HOST is not set)',
    );
  });
});
