/** The labels of namespaces, which only the API server knows: asked for each time, by all at once together. */
import { KubernetesApi } from '@bonafide/shared/kubernetes/kubernetes-api';
import type { ClusterAccess } from '@bonafide/shared/kubernetes/cluster-access';

export class NamespaceLabels {
  readonly #stop = new AbortController();
  readonly #api: KubernetesApi;
  readonly #asked = new Map<string, Promise<Readonly<Record<string, string>>>>();

  constructor(access: () => Promise<ClusterAccess>) {
    this.#api = new KubernetesApi({ access, signal: this.#stop.signal, limitMs: 3_000 });
  }

  /** @throws BonafideError as `KubernetesApi`. */
  async of(namespace: string): Promise<Readonly<Record<string, string>>> {
    const known = this.#asked.get(namespace);
    if (known !== undefined) return await known;
    const asked = this.#api.getNamespace(namespace).then(({ metadata }) => metadata.labels ?? {});
    this.#asked.set(namespace, asked);
    try {
      return await asked;
    } finally {
      this.#asked.delete(namespace);
    }
  }

  close(): void {
    this.#stop.abort();
  }
}
