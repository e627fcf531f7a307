import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPodList } from '@bonafide/testing/kubelet';
import { containerStatus, kubeletPod, newContainerId, staticPod } from '@bonafide/testing/kubelet-pod';
import { expectOnlyBonafideErrors, mutatedBytes } from '@bonafide/testing/mutated-bytes';
import type { ContainerLocation } from '../container/container-of.js';
import { parsePodList, placeContainer, podOfName, podOfUid } from './pod-list.js';

const ID = newContainerId();

function at(containerId: string, podUid?: string): ContainerLocation {
  const place = { prefix: undefined, ownerUid: undefined, source: 'cgroup', groups: [] } as const;
  return { containerId, podUid, path: `/kubepods/pod${podUid ?? ''}/${containerId}`, ...place };
}

describe('the list of pods of a kubelet', () => {
  it.each([
    ['', 'no JSON'],
    ['null', 'no object'],
    ['[]', 'a list'],
    ['{}', 'no items'],
    ['{"items":{}}', 'items that are no list'],
    ['{"items":"pods"}', 'text'],
    [`${formatPodList([])} trailing`, 'more than one value'],
    ['<html>', 'a page'],
  ])('refuses %s (%s)', (text) => {
    expect(() => parsePodList(text)).toThrow('something else than a list of pods');
  });

  it('may be empty, which Go writes as null', () => {
    expect(parsePodList('{"kind":"PodList","items":null}')).toEqual({ pods: [], unreadable: 0 });
  });

  it('leaves out what is no pod, and says how many', () => {
    const good = kubeletPod();
    const bad = [{}, null, 7, { ...good, metadata: { ...good.metadata, uid: '' } }, { ...good, spec: 'x' }];
    const text = JSON.stringify({ items: [...bad, good] });
    const { pods, unreadable } = parsePodList(text);
    expect(pods.map(({ uid }) => uid)).toEqual([good.metadata.uid]);
    expect(unreadable).toBe(bad.length);
  });

  it('survives any bytes', () => {
    const good = Buffer.from(formatPodList([kubeletPod(), staticPod('etcd', [containerStatus('etcd', ID)])]));
    for (let seed = 0; seed < 1_000; seed += 1) {
      expectOnlyBonafideErrors((raw) => parsePodList(raw.toString('utf8')), mutatedBytes(good, seed));
    }
    fc.assert(
      fc.property(fc.json(), (text) => {
        expectOnlyBonafideErrors((raw) => parsePodList(raw.toString('utf8')), Buffer.from(text));
        expectOnlyBonafideErrors(
          (raw) => parsePodList(raw.toString('utf8')),
          Buffer.from(`{"items":[{"metadata":${text},"spec":${text},"status":${text}}]}`),
        );
      }),
    );
  });

  it('tells a container only where the whole ID is given', () => {
    const hex = fc.stringMatching(/^[0-9a-f]{64}$/);
    fc.assert(
      fc.property(hex, fc.string({ maxLength: 90 }), (id, other) => {
        const pod = kubeletPod({ containers: [{ ...containerStatus('web', id), containerID: other }] });
        const { pods } = parsePodList(formatPodList([pod]));
        const placed = placeContainer(pods, at(id));
        if (placed !== undefined) expect(other).toMatch(new RegExp(`^[a-z0-9][a-z0-9.+-]*://${id}$`));
      }),
    );
    for (const runtime of ['containerd', 'docker', 'cri-o']) {
      const status = { ...containerStatus('web', ID), containerID: `${runtime}://${ID}` };
      const { pods } = parsePodList(formatPodList([kubeletPod({ containers: [status] })]));
      expect(placeContainer(pods, at(ID))?.container.id).toBe(ID);
    }
  });
});

describe('the container of a process', () => {
  const web = kubeletPod({ containers: [containerStatus('web', ID), containerStatus('proxy', undefined)] });
  const other = kubeletPod();

  it.each(['containers', 'initContainers'] as const)('may be among the %s', (kind) => {
    const { pods } = parsePodList(
      formatPodList([other, kubeletPod({ containers: [], [kind]: [containerStatus('x', ID)] })]),
    );
    expect(placeContainer(pods, at(ID))?.container.name).toBe('x');
  });

  it('has the pod that its control group names, in either spelling', () => {
    const { pods } = parsePodList(formatPodList([other, web]));
    const uid = web.metadata.uid;
    for (const spelling of [undefined, uid, uid.toUpperCase(), uid.replaceAll('-', '_')]) {
      expect(placeContainer(pods, at(ID, spelling))?.pod.uid).toBe(uid);
    }
  });

  it('is not believed to be in another pod than its control group says', () => {
    const { pods } = parsePodList(formatPodList([other, web]));
    expect(() => placeContainer(pods, at(ID, other.metadata.uid))).toThrow('by its control group');
    expect(() => placeContainer(pods, at(ID, '0'.repeat(32)))).toThrow('by its control group');
  });

  it('is not believed to be in two pods', () => {
    const twin = kubeletPod({ containers: [containerStatus('web', ID)] });
    const { pods } = parsePodList(formatPodList([web, twin]));
    expect(() => placeContainer(pods, at(ID, web.metadata.uid))).toThrow('two places');
  });

  it('is none of those that debug', () => {
    const pod = kubeletPod({ ephemeralContainers: [containerStatus('debugger', ID)] });
    const { pods } = parsePodList(formatPodList([pod]));
    expect(() => placeContainer(pods, at(ID, pod.metadata.uid))).toThrow('ephemeral');
  });

  it('is not known before the kubelet names it', () => {
    const { pods } = parsePodList(formatPodList([web, other]));
    expect(placeContainer(pods, at(newContainerId(), web.metadata.uid))).toBeUndefined();
  });
});

describe('a pod that is named', () => {
  it('is found by UID and by name', () => {
    const [one, two] = [kubeletPod({ name: 'one' }), kubeletPod({ name: 'one', namespace: 'other' })];
    const { pods } = parsePodList(formatPodList([one, two]));
    expect(podOfUid(pods, two.metadata.uid)?.namespace).toBe('other');
    expect(podOfName(pods, { namespace: 'shop', name: 'one' })?.uid).toBe(one.metadata.uid);
    expect(podOfName(pods, { namespace: 'shop', name: 'two' })).toBeUndefined();
    expect(podOfUid(pods, 'x')).toBeUndefined();
  });

  it('is refused when one that ends still has the name', () => {
    const { pods } = parsePodList(
      formatPodList([kubeletPod({ name: 'db-0' }), kubeletPod({ name: 'db-0' })]),
    );
    expect(() => podOfName(pods, { namespace: 'shop', name: 'db-0' })).toThrow('expected its UID too');
  });
});
