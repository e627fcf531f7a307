/** `k8s_configmap`: the bundle as a key of a ConfigMap, which pods of a Kubernetes cluster mount. */
import { hasReason, BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { KubernetesApi } from '@bonafide/shared/kubernetes/kubernetes-api';
import { loadClusterAccess, loadPodAccess } from '@bonafide/shared/kubernetes/load-cluster-access';
import { z } from 'zod';
import type { BundlePublisherPlugin } from './bundle-publisher.js';
import { formatPublishedBundle, publishedFormatSchema } from './published-format.js';

const name = z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'is no name of a Kubernetes object');

const clusterSchema = z.strictObject({
  namespace: name,
  configmap_name: name,
  configmap_key: z.string().regex(/^[-._a-zA-Z0-9]{1,253}$/, 'is no key of a ConfigMap'),
  format: publishedFormatSchema.default('spiffe'),
  /** The pod in which the server runs, when absent. */
  kubeconfig_path: z.string().min(1).optional(),
});

const configSchema = z.strictObject({
  /** By any name; it stands in messages. */
  clusters: z.record(z.string().min(1), clusterSchema),
});

export const k8sConfigMap: BundlePublisherPlugin<typeof configSchema> = {
  configSchema,
  create: ({ clusters }) => ({
    name: 'k8s_configmap',
    /** In each cluster, whatever becomes of the others. */
    async publish(bundle, signal) {
      const failures: unknown[] = [];
      for (const [cluster, target] of Object.entries(clusters)) {
        const { kubeconfig_path: file, namespace, configmap_name: map, configmap_key: key } = target;
        const access = file === undefined ? () => loadPodAccess() : () => loadClusterAccess(file);
        try {
          await new KubernetesApi({ access, signal }).setConfigMapKey(
            { namespace, name: map, key },
            formatPublishedBundle(bundle, target.format),
          );
        } catch (error) {
          failures.push(explained(error, `${cluster}: ${namespace}/${map}`));
        }
      }
      if (failures.length > 0) throw failures[0];
    },
  }),
};

/** The ConfigMap is an operator's, so that the server needs no right to make any. */
function explained(error: unknown, where: string): BonafideError {
  const remedy = hasReason(error, 'not_found')
    ? '; create the ConfigMap, empty, and let the server patch it'
    : '';
  return new BonafideError('unavailable', `cannot publish to ${where}: ${errorMessage(error)}${remedy}`, {
    cause: error,
  });
}
