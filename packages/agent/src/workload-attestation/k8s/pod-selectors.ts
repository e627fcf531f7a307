/** What a pod and a container of it prove: the selectors are SPIRE's, also where a value is empty. */
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import type { Pod, PodContainer } from './pod.js';

export function podSelectors(pod: Pod): readonly Selector[] {
  return [
    `sa:${pod.serviceAccount}`,
    `ns:${pod.namespace}`,
    `node-name:${pod.nodeName}`,
    `pod-uid:${pod.uid}`,
    `pod-name:${pod.name}`,
    `pod-image-count:${pod.containers.length}`,
    `pod-init-image-count:${pod.initContainers.length}`,
    ...imagesOf(pod.containers).map((image) => `pod-image:${image}`),
    ...imagesOf(pod.initContainers).map((image) => `pod-init-image:${image}`),
    ...Object.entries(pod.labels).map(([key, value]) => `pod-label:${key}:${value}`),
    ...pod.owners.flatMap(({ kind, name, uid }) => [
      `pod-owner:${kind}:${name}`,
      `pod-owner-uid:${kind}:${uid}`,
    ]),
  ].map(k8sSelector);
}

export function containerSelectors(container: PodContainer): readonly Selector[] {
  return [
    `container-name:${container.name}`,
    ...imagesOf([container]).map((image) => `container-image:${image}`),
  ].map(k8sSelector);
}

export function namespaceLabelSelectors(labels: Readonly<Record<string, string>>): readonly Selector[] {
  return Object.entries(labels).map(([key, value]) => k8sSelector(`ns-label:${key}:${value}`));
}

/** By name and by digest, each once. */
function imagesOf(containers: readonly PodContainer[]): readonly string[] {
  return [...new Set(containers.flatMap(({ imageId, image }) => [imageId, image]))];
}

function k8sSelector(value: string): Selector {
  return createSelector('k8s', value);
}
