import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock } from '@bonafide/testing/fake-clock';
import type { Kubelet } from '@bonafide/testing/kubelet';
import {
  containerStatus,
  kubeletPod,
  newContainerId,
  ownerUid,
  staticPod,
} from '@bonafide/testing/kubelet-pod';
import { waitFor } from '@bonafide/testing/wait-for';
import { startK8sNode, systemdPath, texts, type K8sNode } from './k8s-node-samples.js';

const never = (): AbortSignal => new AbortController().signal;
let node: K8sNode;
let attestor: K8sNode['attestor'];
let kubelet: Kubelet;
let processIn: K8sNode['processIn'];

beforeEach(async () => {
  node = await startK8sNode();
  ({ attestor, kubelet, processIn } = node);
});
afterEach(async () => {
  await node[Symbol.asyncDispose]();
});

describe('k8s workload attestor', () => {
  it("proves the pod and the container, in SPIRE's words", async () => {
    const id = newContainerId();
    const [web, proxy] = [containerStatus('web', id), containerStatus('proxy', newContainerId())];
    const pod = kubeletPod({
      ...{ name: 'web-1', labels: { app: 'web', 'example.org/empty': '' }, containers: [web, proxy] },
      initContainers: [containerStatus('migrate', newContainerId())],
      owners: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-6658cb9566' },
        { apiVersion: 'example.org/v1', kind: 'Shop', name: 'main' },
      ],
    });
    kubelet.pods.push(kubeletPod(), pod);
    const image = (name: string): string[] => {
      const { image: tag, imageID } = containerStatus(name, id);
      return [tag, imageID];
    };
    const ofPod = [
      ...['k8s:ns:shop', 'k8s:sa:web', 'k8s:node-name:node-1', `k8s:pod-uid:${pod.metadata.uid}`],
      ...['k8s:pod-name:web-1', 'k8s:pod-image-count:2', 'k8s:pod-init-image-count:1'],
      ...[...image('web'), ...image('proxy')].map((text) => `k8s:pod-image:${text}`),
      ...image('migrate').map((text) => `k8s:pod-init-image:${text}`),
      ...['k8s:pod-label:app:web', 'k8s:pod-label:example.org/empty:'],
      ...['k8s:pod-owner:ReplicaSet:web-6658cb9566', 'k8s:pod-owner:Shop:main'],
      `k8s:pod-owner-uid:ReplicaSet:${ownerUid('web-6658cb9566')}`,
      `k8s:pod-owner-uid:Shop:${ownerUid('main')}`,
    ];
    const ofContainer = [
      'k8s:container-name:web',
      ...image('web').map((text) => `k8s:container-image:${text}`),
    ];
    const process = processIn(systemdPath(pod.metadata.uid, id));
    expect(await texts(attestor().attest(process, never()))).toEqual([...ofPod, ...ofContainer].sort());
    const withoutContainer = attestor({ disable_container_selectors: true });
    expect(await texts(withoutContainer.attest(process, never()))).toEqual([...ofPod].sort());
    const named = await texts(
      attestor().attestObject({ plural: 'pods', group: '', key: undefined, uid: pod.metadata.uid }, never()),
    );
    expect(named).toEqual([...ofPod].sort());
  });

  it('knows static pods and those of CRI-O, whose groups may not name the pod', async () => {
    const [etcd, crio] = [newContainerId(), newContainerId()];
    const pod = staticPod('etcd', [containerStatus('etcd', etcd)]);
    kubelet.pods.push(pod, kubeletPod({ containers: [containerStatus('web', crio)] }));
    const found = await texts(attestor().attest(processIn(systemdPath(pod.metadata.uid, etcd)), never()));
    expect(found).toContain(`k8s:pod-uid:${pod.metadata.uid}`);
    expect(found).toContain('k8s:sa:');
    const seen = await texts(attestor().attest(processIn(`/../crio-${crio}.scope`), never()));
    expect(seen).toContain('k8s:container-name:web');
  });

  it('has nothing to say of a process in no pod, and asks nobody', async () => {
    const asked = attestor();
    const paths = [
      '/user.slice',
      `/system.slice/docker-${newContainerId()}.scope`,
      `/docker/${newContainerId()}`,
    ];
    for (const path of paths) expect(await asked.attest(processIn(path), never())).toEqual([]);
    expect(kubelet.requests).toEqual([]);
  });

  it('asks the kubelet once for a hundred processes, each of which gets its own pod', async () => {
    const ids = Array.from({ length: 100 }, newContainerId);
    const pods = ids.map((id, index) =>
      kubeletPod({ name: `pod-${index}`, containers: [containerStatus('web', id)] }),
    );
    kubelet.pods.push(...pods);
    const asked = attestor({}, new FakeClock());
    const found = await Promise.all(
      pods.map(({ metadata }, index) =>
        texts(asked.attest(processIn(systemdPath(metadata.uid, ids[index] ?? '')), never())),
      ),
    );
    expect(found.map((selectors) => selectors.find((text) => text.startsWith('k8s:pod-name:')))).toEqual(
      pods.map(({ metadata }) => `k8s:pod-name:${metadata.name}`),
    );
    expect(kubelet.requests).toEqual(['GET /pods by token-of-the-agent']);
  });

  it('waits for a container that the kubelet does not know yet', async () => {
    const clock = new FakeClock();
    const id = newContainerId();
    const pod = kubeletPod({ containers: [containerStatus('web', undefined)] });
    kubelet.pods.push(pod);
    const asked = attestor({}, clock);
    const found = texts(asked.attest(processIn(systemdPath(pod.metadata.uid, id)), never()));
    await poll(clock, 3);
    pod.status.containerStatuses = [containerStatus('web', id)];
    await poll(clock, 4);
    expect(await found).toContain('k8s:container-name:web');
    expect(kubelet.requests).toHaveLength(4);
    expect(clock.pendingTimers).toBe(0);
  });

  it('waits no longer than max_poll_attempts, nor than the agent waits for an attestor', async () => {
    const clock = new FakeClock();
    const path = systemdPath(kubeletPod().metadata.uid, newContainerId());
    const briefly = attestor({ max_poll_attempts: 2 }, clock).attest(processIn(path), never());
    await Promise.all([
      expect(briefly).rejects.toMatchObject({ reason: 'deadline_exceeded' }),
      poll(clock, 2),
    ]);
    const long = attestor({ poll_retry_interval: '1s' }, clock).attest(processIn(path), never());
    const refused = expect(long).rejects.toThrow('no pod of this node has container');
    await Promise.all([refused, poll(clock, 2 + 7)]);
    expect(kubelet.requests).toHaveLength(9);
  });

  it('gives the selectors of a pod whose container is not known yet only when told to', async () => {
    const pod = kubeletPod({ containers: [containerStatus('web', undefined)] });
    kubelet.pods.push(pod);
    const process = processIn(systemdPath(pod.metadata.uid, newContainerId()));
    const lenient = attestor({ disable_container_selectors: true });
    expect(await texts(lenient.attest(process, never()))).toContain(`k8s:pod-uid:${pod.metadata.uid}`);
    const strict = attestor({ max_poll_attempts: 1 });
    await expect(strict.attest(process, never())).rejects.toMatchObject({ reason: 'deadline_exceeded' });
  });

  it('believes a label no longer than half a second', async () => {
    const clock = new FakeClock();
    const id = newContainerId();
    const pod = kubeletPod({ labels: { role: 'admin' }, containers: [containerStatus('web', id)] });
    kubelet.pods.push(pod);
    const asked = attestor({ poll_retry_interval: '1m' }, clock);
    const process = processIn(systemdPath(pod.metadata.uid, id));
    expect(await texts(asked.attest(process, never()))).toContain('k8s:pod-label:role:admin');
    pod.metadata.labels = { role: 'guest' };
    await clock.advance(501);
    const found = await texts(asked.attest(process, never()));
    expect(found).toContain('k8s:pod-label:role:guest');
    expect(found).not.toContain('k8s:pod-label:role:admin');
  });

  it('refuses a control group that was made to look like that of another pod', async () => {
    const [mine, theirs] = [newContainerId(), newContainerId()];
    const own = kubeletPod({ containers: [containerStatus('mine', mine)] });
    const victim = kubeletPod({ containers: [containerStatus('theirs', theirs)] });
    kubelet.pods.push(own, victim);
    const refused = { reason: 'failed_precondition' };
    const [ownUid, victimUid] = [own.metadata.uid, victim.metadata.uid];
    for (const paths of [
      [systemdPath(ownUid, theirs)],
      [systemdPath(victimUid, mine)],
      [systemdPath(ownUid, mine), systemdPath(victimUid, theirs)],
      [`${systemdPath(ownUid, mine)}/kubepods/pod${victimUid}/${theirs}`],
      [`/user.slice/user-1000.slice/user@1000.service${systemdPath(victimUid, theirs)}`],
    ]) {
      await expect(attestor().attest(processIn(...paths), never())).rejects.toMatchObject(refused);
    }
  });

  it('ends when it is cancelled and when the agent stops', async () => {
    const id = newContainerId();
    const process = processIn(systemdPath(kubeletPod().metadata.uid, id));
    kubelet.fault = () => undefined; // it stalls
    const cancel = new AbortController();
    const asked = attestor();
    const [first, second] = [asked.attest(process, cancel.signal), asked.attest(process, never())];
    cancel.abort();
    await expect(first).rejects.toMatchObject({ reason: 'cancelled' });
    asked.close();
    await expect(second).rejects.toMatchObject({ reason: 'unavailable' });
  });
});

/** Moves the clock by the interval whenever the kubelet has answered, until it was asked that often. */
async function poll(clock: FakeClock, requests: number): Promise<void> {
  await waitFor(`${requests} requests`, async () => {
    if (clock.pendingTimers > 0 && kubelet.requests.length < requests)
      await clock.advance(clock.nextTimerMs ?? 0);
    return kubelet.requests.length >= requests;
  });
}
