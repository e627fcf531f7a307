/** A pod as the kubelet tells of it, as much as is proven: what is not read is not looked at. */
import { z } from 'zod';

export interface Pod {
  /** Lower case; of a static pod a digest of its manifest. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Empty for a static pod. */
  readonly serviceAccount: string;
  readonly nodeName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly owners: readonly PodOwner[];
  readonly containers: readonly PodContainer[];
  readonly initContainers: readonly PodContainer[];
  /** Of `kubectl debug`. */
  readonly ephemeralContainers: readonly PodContainer[];
}

interface PodOwner {
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

export interface PodContainer {
  readonly name: string;
  /** 64 hexadecimal digits; undefined as long as there is no container. */
  readonly id: string | undefined;
  /** As the container runtime names it; empty before it is pulled. */
  readonly image: string;
  readonly imageId: string;
}

/** The container of a process in the pods of this node. */
export interface PlacedContainer {
  readonly pod: Pod;
  readonly container: PodContainer;
}

const text = z.string().max(4096);
const name = text.min(1);

const containerStatuses = z
  .array(
    z
      .object({
        name,
        image: text.default(''),
        imageID: text.default(''),
        containerID: text.default(''),
      })
      .transform((status): PodContainer => ({
        name: status.name,
        id: parseContainerId(status.containerID),
        image: status.image,
        imageId: status.imageID,
      })),
  )
  .max(1000)
  .nullish()
  .transform((statuses) => statuses ?? []);

const status = z.object({
  containerStatuses,
  initContainerStatuses: containerStatuses,
  ephemeralContainerStatuses: containerStatuses,
});

const podSchema = z
  .object({
    metadata: z.object({
      uid: name,
      namespace: name,
      name,
      labels: z.record(text, text).nullish(),
      ownerReferences: z
        .array(z.object({ kind: name, name, uid: name }))
        .max(1000)
        .nullish(),
    }),
    spec: z.object({ serviceAccountName: text.default(''), nodeName: text.default('') }),
    status: status.prefault({}),
  })
  .transform(({ metadata, spec, status: { containerStatuses: containers, ...others } }): Pod => ({
    uid: metadata.uid.toLowerCase(),
    namespace: metadata.namespace,
    name: metadata.name,
    serviceAccount: spec.serviceAccountName,
    nodeName: spec.nodeName,
    labels: metadata.labels ?? {},
    owners: metadata.ownerReferences ?? [],
    containers,
    initContainers: others.initContainerStatuses,
    ephemeralContainers: others.ephemeralContainerStatuses,
  }));

/** Undefined for what is no pod. */
export function parsePod(item: unknown): Pod | undefined {
  return podSchema.safeParse(item).data;
}

/** Whether two spellings are of one UID: in the name of a cgroup its dashes may be underscores. */
export function isSameUid(one: string, other: string): boolean {
  return bareUid(one) === bareUid(other);
}

function bareUid(uid: string): string {
  return uid.toLowerCase().replaceAll(/[-_]/g, '');
}

/** `<runtime>://<id>`, as Kubernetes' ContainerStatus has it. */
function parseContainerId(containerId: string): string | undefined {
  return /^[a-z0-9][a-z0-9.+-]{0,62}:\/\/([0-9a-f]{64})$/.exec(containerId)?.[1];
}
