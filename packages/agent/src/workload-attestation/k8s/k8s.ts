/** The `k8s` workload attestor: the pod and the container of a process, by its control group and the kubelet; the selectors are SPIRE's. */
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { loadPodAccess } from '@bonafide/shared/kubernetes/load-cluster-access';
import type { Selector } from '@bonafide/shared/registration/selector';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { AttestedProcess } from '../attested-process.js';
import { containerOf, mayBeOfPod, type ContainerLocation } from '../container/container-of.js';
import type { KubernetesObjectReference } from '../kubernetes-object-reference.js';
import type { WorkloadAttestor, WorkloadAttestorHost, WorkloadAttestorPlugin } from '../workload-attestor.js';
import { k8sConfigSchema, type K8sConfig } from './k8s-config.js';
import { resolveNodeName } from './kubelet-access.js';
import { KubeletClient } from './kubelet-client.js';
import { NamespaceLabels } from './namespace-labels.js';
import { placeContainer, podOfName, podOfUid } from './pod-list.js';
import { containerSelectors, namespaceLabelSelectors, podSelectors } from './pod-selectors.js';
import type { Pod } from './pod.js';
import { SharedPodList, type PodListAnswer } from './shared-pod-list.js';

export const k8s = {
  configSchema: k8sConfigSchema,
  create: (config, host): WorkloadAttestor => new K8sAttestor(config, host),
} satisfies WorkloadAttestorPlugin<K8sConfig>;

/** With the request that is then under way, less than the agent gives an attestor: so it can still say what it waited for. */
const LONGEST_WAIT_MS = 6_000;

class K8sAttestor implements WorkloadAttestor {
  readonly #config: K8sConfig;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #podList: SharedPodList;
  readonly #namespaceLabels: NamespaceLabels | undefined;

  constructor(config: K8sConfig, { clock, log }: WorkloadAttestorHost) {
    this.#config = config;
    this.#clock = clock;
    this.#log = log;
    const { kubelet: endpoint, pollIntervalMs, reloadIntervalMs } = config;
    const nodeName = resolveNodeName(config.nodeName, config.nodeNameVariable, process.env);
    const kubelet = new KubeletClient({ endpoint, nodeName, reloadIntervalMs, clock });
    const listPods = kubelet.listPods.bind(kubelet);
    this.#podList = new SharedPodList({ listPods, pollIntervalMs, clock, log });
    this.#namespaceLabels = config.hasNamespaceLabels
      ? new NamespaceLabels(() => loadPodAccess())
      : undefined;
  }

  async attest(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]> {
    const location = containerOf(process);
    if (this.#config.logsContainerLocations)
      this.#log.info({ pid: process.pid, ...location }, 'container of a process');
    if (location === undefined || !mayBeOfPod(location)) return [];
    return await this.#awaitPod(location, signal);
  }

  async attestObject(
    reference: KubernetesObjectReference,
    signal: AbortSignal,
  ): Promise<readonly Selector[]> {
    const { group, key, plural, uid } = reference;
    if (plural !== 'pods' || group !== '') {
      const what = `${plural}.${group === '' ? 'core' : group}`;
      throw new BonafideError(
        'not_found',
        `${what} are not known on a node; expected a reference to pods.core`,
      );
    }
    const { outcome } = await this.#podList.next(undefined, signal);
    if (outcome.kind === 'failure') throw unavailable(outcome.error);
    const pod = key === undefined ? uid && podOfUid(outcome.pods, uid) : podOfName(outcome.pods, key);
    if (!pod) throw new BonafideError('not_found', 'there is no such pod on this node');
    if (uid !== undefined && pod.uid !== uid) {
      throw new BonafideError('not_found', `the pod of that name has UID ${pod.uid} and not ${uid}`);
    }
    return await this.#withNamespace(pod, podSelectors(pod));
  }

  close(): void {
    this.#podList.close();
    this.#namespaceLabels?.close();
  }

  /** The kubelet learns of a container about a second after its first process runs: it is asked until it knows. */
  async #awaitPod(location: ContainerLocation, signal: AbortSignal): Promise<readonly Selector[]> {
    const endMs = this.#clock.monotonicMs() + LONGEST_WAIT_MS;
    let answer: PodListAnswer | undefined;
    for (let attempt = 0; attempt < this.#config.mostPollAttempts; attempt += 1) {
      answer = await this.#podList.next(answer, signal);
      const found =
        answer.outcome.kind === 'pods' ? this.#selectorsIn(answer.outcome.pods, location) : undefined;
      if (found !== undefined) return await this.#withNamespace(found.pod, found.selectors);
      if (this.#clock.monotonicMs() >= endMs) break;
    }
    if (answer?.outcome.kind === 'failure') throw unavailable(answer.outcome.error);
    const { containerId, path } = location;
    const message = `no pod of this node has container ${containerId}, in which the process is by ${path}`;
    throw new BonafideError('deadline_exceeded', message);
  }

  #selectorsIn(
    pods: readonly Pod[],
    location: ContainerLocation,
  ): { readonly pod: Pod; readonly selectors: readonly Selector[] } | undefined {
    const { hasContainerSelectors } = this.#config;
    const placed = placeContainer(pods, location);
    if (placed !== undefined) {
      const { container, pod } = placed;
      const ofContainer = hasContainerSelectors ? containerSelectors(container) : [];
      return { pod, selectors: [...podSelectors(pod), ...ofContainer] };
    }
    // The pod itself is known by the control group, also while the kubelet has not heard of the container.
    if (hasContainerSelectors || location.podUid === undefined) return undefined;
    const pod = podOfUid(pods, location.podUid);
    return pod && { pod, selectors: podSelectors(pod) };
  }

  async #withNamespace(pod: Pod, selectors: readonly Selector[]): Promise<readonly Selector[]> {
    const labels = await this.#namespaceLabels?.of(pod.namespace);
    return labels === undefined ? selectors : [...selectors, ...namespaceLabelSelectors(labels)];
  }
}

function unavailable(cause: unknown): BonafideError {
  return new BonafideError('unavailable', `cannot get the pods of this node: ${errorMessage(cause)}`, {
    cause,
  });
}
