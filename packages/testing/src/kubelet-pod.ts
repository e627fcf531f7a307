/** Pods in the shape in which a kubelet lists them, with much that nobody here reads. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';

interface KubeletContainerStatus {
  name: string;
  image: string;
  imageID: string;
  /** `containerd://<id>`; absent before there is a container. */
  containerID?: string;
  ready: boolean;
  restartCount: number;
  started: boolean;
  state: object;
  lastState: object;
}

export interface KubeletPod {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: object[];
    [field: string]: unknown;
  };
  spec: { serviceAccountName?: string; nodeName: string; [field: string]: unknown };
  status: {
    phase: string;
    containerStatuses?: KubeletContainerStatus[];
    initContainerStatuses?: KubeletContainerStatus[];
    ephemeralContainerStatuses?: KubeletContainerStatus[];
    [field: string]: unknown;
  };
}

interface KubeletPodOptions {
  readonly name?: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly serviceAccount?: string;
  readonly nodeName?: string;
  readonly labels?: Record<string, string>;
  readonly owners?: readonly { readonly apiVersion: string; readonly kind: string; readonly name: string }[];
  readonly containers?: readonly KubeletContainerStatus[];
  readonly initContainers?: readonly KubeletContainerStatus[];
  readonly ephemeralContainers?: readonly KubeletContainerStatus[];
}

const STARTED = '2026-03-01T10:00:05Z';

export function newContainerId(): string {
  return randomBytes(32).toString('hex');
}

/** @param id undefined: it waits for its image. */
export function containerStatus(
  name: string,
  id: string | undefined,
  image = `registry.example.org/${name}:1.4`,
): KubeletContainerStatus {
  const digest = createHash('sha256').update(image).digest('hex');
  return {
    ...{ name, image, ready: id !== undefined, started: id !== undefined, restartCount: 0, lastState: {} },
    ...(id === undefined
      ? { imageID: '', state: { waiting: { reason: 'ContainerCreating' } } }
      : {
          imageID: `${image.replace(/:[^:/]*$/, '')}@sha256:${digest}`,
          containerID: `containerd://${id}`,
          state: { running: { startedAt: STARTED } },
        }),
  };
}

/** One of a Deployment, unless told. */
export function kubeletPod(options: KubeletPodOptions = {}): KubeletPod {
  const { name = `web-6658cb9566-${randomBytes(3).toString('hex')}`, namespace = 'shop' } = options;
  const { serviceAccount = 'web', nodeName = 'node-1', uid = randomUUID() } = options;
  const {
    containers = [containerStatus('web', newContainerId())],
    owners = [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web-6658cb9566' }],
  } = options;
  return {
    metadata: {
      ...{ name, namespace, uid, resourceVersion: '17021', creationTimestamp: '2026-03-01T10:00:00Z' },
      generateName: 'web-6658cb9566-',
      labels: options.labels ?? { app: 'web', 'pod-template-hash': '6658cb9566' },
      annotations: { 'kubernetes.io/config.seen': STARTED, 'kubernetes.io/config.source': 'api' },
      ownerReferences: owners.map((owner, index) => ({
        ...{ ...owner, uid: ownerUid(owner.name), controller: index === 0, blockOwnerDeletion: true },
      })),
      managedFields: [
        { manager: 'kube-controller-manager', operation: 'Update', fieldsV1: { 'f:spec': {} } },
      ],
    },
    spec: {
      serviceAccountName: serviceAccount,
      serviceAccount,
      nodeName,
      containers: containers.map(({ image, name: container }) => ({ name: container, image, resources: {} })),
      ...{ restartPolicy: 'Always', dnsPolicy: 'ClusterFirst', schedulerName: 'default-scheduler' },
      tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', tolerationSeconds: 300 }],
    },
    status: {
      ...{ phase: 'Running', hostIP: '172.17.0.2', podIP: '10.244.0.8', podIPs: [{ ip: '10.244.0.8' }] },
      ...{ qosClass: 'Burstable', startTime: '2026-03-01T10:00:00Z' },
      conditions: [{ type: 'Ready', status: 'True', lastProbeTime: null, lastTransitionTime: STARTED }],
      containerStatuses: [...containers],
      ...(options.initContainers === undefined ? {} : { initContainerStatuses: [...options.initContainers] }),
      ...(options.ephemeralContainers === undefined
        ? {}
        : { ephemeralContainerStatuses: [...options.ephemeralContainers] }),
    },
  };
}

/** Of a manifest on the node's disk: its UID is a digest, it has no service account and the node owns it. */
export function staticPod(name: string, containers: readonly KubeletContainerStatus[]): KubeletPod {
  const uid = createHash('md5').update(name).digest('hex');
  const pod = kubeletPod({ name: `${name}-node-1`, namespace: 'kube-system', uid, containers, owners: [] });
  return {
    ...pod,
    metadata: {
      ...{ name: pod.metadata.name, namespace: 'kube-system', uid, labels: { component: name } },
      annotations: {
        ...{ 'kubernetes.io/config.hash': uid, 'kubernetes.io/config.source': 'file' },
        'kubernetes.io/config.seen': STARTED,
      },
    },
    spec: { nodeName: pod.spec.nodeName, containers: pod.spec['containers'], hostNetwork: true },
  };
}

/** Of a test's owners: the same for the same name. */
export function ownerUid(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}
