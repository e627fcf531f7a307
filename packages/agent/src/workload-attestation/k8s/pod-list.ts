/** The kubelet's list of the pods of this node (`GET /pods`), and the container of a process in it. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';
import type { ContainerLocation } from '../container/container-of.js';
import { isSameUid, parsePod, type PlacedContainer, type Pod } from './pod.js';

export interface PodList {
  readonly pods: readonly Pod[];
  /** Items that are no pods as we know them; nobody in them gets an identity. */
  readonly unreadable: number;
}

/** Kubernetes recommends no more than 110 pods a node. */
const MOST_PODS = 10_000;

const listSchema = z.object({ items: z.array(z.unknown()).max(MOST_PODS).nullable() });

/** @throws BonafideError `internal` when the answer is no list of pods. */
export function parsePodList(text: string): PodList {
  const list = listSchema.safeParse(parseJson(text)).data;
  if (list === undefined) {
    throw new BonafideError('internal', 'the kubelet answered with something else than a list of pods');
  }
  const pods = (list.items ?? []).flatMap((item) => parsePod(item) ?? []);
  return { pods, unreadable: (list.items ?? []).length - pods.length };
}

/**
 * The container of a process, undefined when the kubelet does not know it (yet).
 * @throws BonafideError `failed_precondition` when the kernel and the kubelet disagree on its pod, when two pods have it, or when it is
 * there to debug.
 */
export function placeContainer(
  pods: readonly Pod[],
  location: ContainerLocation,
): PlacedContainer | undefined {
  const isIt = ({ id }: { readonly id: string | undefined }): boolean => id === location.containerId;
  const [found, ...others] = pods.flatMap((pod) => {
    const { containers, initContainers, ephemeralContainers } = pod;
    const placed = [...containers, ...initContainers, ...ephemeralContainers].filter(isIt);
    return placed.map((container) => ({ pod, container }));
  });
  if (found === undefined) return undefined;
  const what = `container ${location.containerId}`;
  if (others.length > 0) throw refused(`the kubelet names two places for ${what}; expected one pod`);
  if (location.podUid !== undefined && !isSameUid(location.podUid, found.pod.uid)) {
    throw refused(
      `${what} is of pod ${found.pod.uid} by the kubelet and of pod ${location.podUid} by its control group`,
    );
  }
  if (found.pod.ephemeralContainers.includes(found.container)) {
    throw refused(`${what} is an ephemeral container of pod ${podName(found.pod)}, which has no identity`);
  }
  return found;
}

/** The one pod of that UID. @throws BonafideError `failed_precondition` when there are two. */
export function podOfUid(pods: readonly Pod[], uid: string): Pod | undefined {
  return onlyOne(
    pods.filter((pod) => isSameUid(pod.uid, uid)),
    `UID ${uid}`,
  );
}

/** The one pod of that name. @throws BonafideError `failed_precondition` when there are two: one that ends and the one that follows it. */
export function podOfName(
  pods: readonly Pod[],
  key: { readonly namespace: string; readonly name: string },
): Pod | undefined {
  return onlyOne(
    pods.filter(({ namespace, name }) => namespace === key.namespace && name === key.name),
    `name ${podName(key)}; expected its UID too`,
  );
}

function podName({ namespace, name }: Pick<Pod, 'namespace' | 'name'>): string {
  return `${namespace}/${name}`;
}

function onlyOne(pods: readonly Pod[], what: string): Pod | undefined {
  if (pods.length > 1) throw refused(`the kubelet has several pods of ${what}`);
  return pods[0];
}

function refused(message: string): BonafideError {
  return new BonafideError('failed_precondition', message);
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // said by the caller
  }
}
