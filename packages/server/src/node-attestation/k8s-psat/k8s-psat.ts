/** Attestation by a projected service account token: Kubernetes says whose the token is, and where its pod runs. IDs and selectors are SPIRE's. */
import {
  BonafideError,
  errorMessage,
  hasReason,
  invalidArgument,
} from '@bonafide/shared/errors/bonafide-error';
import { loadClusterAccess, loadPodAccess } from '@bonafide/shared/kubernetes/load-cluster-access';
import {
  KubernetesApi,
  type KubernetesNode,
  type KubernetesPod,
} from '@bonafide/shared/kubernetes/kubernetes-api';
import { parseK8sPsatEvidence } from '@bonafide/shared/node-attestation/k8s-psat-evidence';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { NodeAttestor, NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { k8sPsatConfigSchema, type K8sClusterConfig, type K8sPsatConfig } from './k8s-psat-config.js';
import { judgeReview, type ReviewedToken } from './reviewed-token.js';

const TYPE = 'k8s_psat';

/** What tests set otherwise. */
interface K8sPsatWorld {
  readonly loadPodAccess?: typeof loadPodAccess;
  readonly limitMs?: number;
}

interface ProvenPod extends ReviewedToken {
  readonly nodeUid: string;
  readonly pod: KubernetesPod;
  readonly nodeName: string;
  readonly node: KubernetesNode;
}

export const k8sPsat: NodeAttestorPlugin<K8sPsatConfig> = {
  configSchema: k8sPsatConfigSchema,
  create: (config, host) => createK8sPsat(config, host),
};

export function createK8sPsat(
  config: K8sPsatConfig,
  { trustDomain, log, signal }: Pick<NodeAttestorHost, 'trustDomain' | 'log' | 'signal'>,
  world: K8sPsatWorld = {},
): NodeAttestor {
  const clusters = new Map(
    Object.entries(config.clusters).map(([name, cluster]) => {
      const { kube_config_file: file = '' } = cluster;
      const ofPod = world.loadPodAccess ?? loadPodAccess;
      const access = file === '' ? () => ofPod() : () => loadClusterAccess(file);
      const api = new KubernetesApi({ access, signal, limitMs: world.limitMs });
      return [name, { cluster, api }];
    }),
  );
  if (clusters.size === 0) log.warn('k8s_psat has no clusters: no node can attest by it');
  return {
    async attest({ payload }) {
      const { cluster: name, token } = parseK8sPsatEvidence(payload);
      const known = clusters.get(name);
      if (known === undefined) throw invalidArgument(`not configured for cluster ${JSON.stringify(name)}`);
      const proven = await provePod(token, known).catch((error: unknown) => {
        throw explained(error, name, log);
      });
      const { podUid, nodeUid } = proven;
      const suffix = known.cluster.use_pod_uid_for_agent_id ? `pod/${podUid}` : nodeUid;
      return {
        agentId: agentId(trustDomain, TYPE, `${name}/${suffix}`),
        selectors: selectorsOf(name, proven, known.cluster),
        canReattest: true,
      };
    },
  };
}

async function provePod(
  token: string,
  { cluster, api }: { readonly cluster: K8sClusterConfig; readonly api: KubernetesApi },
): Promise<ProvenPod> {
  const reviewed = judgeReview(await api.reviewToken(token, cluster.audience), cluster.audience);
  const { namespace, serviceAccount, podName, podUid } = reviewed;
  if (!cluster.service_account_allow_list.includes(`${namespace}:${serviceAccount}`)) {
    throw refusal(`"${namespace}:${serviceAccount}" is not an allowed service account`);
  }
  const pod = await api.getPod(namespace, podName);
  // A pod of the same name may have come after the one that the token was made for.
  if (checkUid(pod.metadata.uid) !== podUid) throw refusal(`the token is bound to another pod ${podName}`);
  const { nodeName } = pod.spec;
  if (nodeName === undefined || nodeName === '') throw refusal(`the pod ${podName} runs on no node`);
  const node = await api.getNode(nodeName);
  const nodeUid = checkUid(node.metadata.uid);
  if (reviewed.nodeUid !== undefined && reviewed.nodeUid !== nodeUid) {
    throw refusal(`the token was made on another node ${nodeName}`);
  }
  return { ...reviewed, nodeUid, pod, nodeName, node };
}

function selectorsOf(cluster: string, proven: ProvenPod, config: K8sClusterConfig): readonly Selector[] {
  const { namespace, serviceAccount, podName, podUid, nodeUid, pod, nodeName, node } = proven;
  const values = [
    `cluster:${cluster}`,
    `agent_ns:${namespace}`,
    `agent_sa:${serviceAccount}`,
    `agent_pod_name:${podName}`,
    `agent_pod_uid:${podUid}`,
    `agent_node_ip:${pod.status?.hostIP ?? ''}`,
    `agent_node_name:${nodeName}`,
    `agent_node_uid:${nodeUid}`,
    ...labelsOf('agent_node_label', node.metadata.labels, config.allowed_node_label_keys),
    ...labelsOf('agent_pod_label', pod.metadata.labels, config.allowed_pod_label_keys),
  ];
  return values.map((value) => createSelector(TYPE, value));
}

function labelsOf(
  kind: string,
  labels: Readonly<Record<string, string>> | null | undefined,
  keys: readonly string[],
): string[] {
  return Object.entries(labels ?? {}).flatMap(([key, value]) =>
    keys.includes(key) ? [`${kind}:${key}:${value}`] : [],
  );
}

/** It becomes one segment of an ID, and must not become two. */
function checkUid(uid: string): string {
  if (/^[A-Za-z0-9-]{1,128}$/.test(uid)) return uid;
  throw new BonafideError('internal', 'the API server answered with a UID that is none');
}

/** What the API server and its address are is for the log; the agent learns what its own evidence lacks. */
function explained(error: unknown, cluster: string, log: NodeAttestorHost['log']): unknown {
  const inCluster = `for cluster ${JSON.stringify(cluster)}`;
  if (hasReason(error, 'permission_denied')) {
    return new BonafideError('permission_denied', `${error.message}, ${inCluster}`, { cause: error.cause });
  }
  if (hasReason(error, 'cancelled') || !(error instanceof BonafideError)) return error;
  log.warn(
    { cluster, reason: error.reason, err: error },
    'the Kubernetes API server gives no word on a node',
  );
  if (error.reason === 'not_found')
    return refusal(`the pod of the token, or its node, is gone, ${inCluster}`);
  const message = `cannot validate the token with the API server ${inCluster}; the log of the server says why`;
  return new BonafideError(error.reason === 'unavailable' ? 'unavailable' : 'internal', message, {
    cause: errorMessage(error),
  });
}

function refusal(message: string): BonafideError {
  return new BonafideError('permission_denied', message);
}
