/** The bundle publishers that are built in, by the names in the configuration: one file and one row each. */
import { z } from 'zod';
import type { BundlePublisher } from './bundle-publisher.js';
import { httpPut } from './http-put.js';
import { k8sConfigMap } from './k8s-configmap.js';
import { localFile } from './local-file.js';

/** Whatever its configuration is; each is created below with its own. */
interface AnyPlugin {
  readonly configSchema: z.ZodType;
  readonly create: (config: never) => BundlePublisher;
}

const BUNDLE_PUBLISHERS = {
  local_file: localFile,
  http_put: httpPut,
  k8s_configmap: k8sConfigMap,
} as const satisfies Record<string, AnyPlugin>;

export const bundlePublishersSchema = z.strictObject({
  local_file: BUNDLE_PUBLISHERS.local_file.configSchema.optional(),
  http_put: BUNDLE_PUBLISHERS.http_put.configSchema.optional(),
  k8s_configmap: BUNDLE_PUBLISHERS.k8s_configmap.configSchema.optional(),
});

export type BundlePublishersConfig = z.output<typeof bundlePublishersSchema>;

/** Those that the configuration names. */
export function createBundlePublishers(config: BundlePublishersConfig): readonly BundlePublisher[] {
  const { local_file: file, http_put: put, k8s_configmap: map } = config;
  return [
    ...(file === undefined ? [] : [BUNDLE_PUBLISHERS.local_file.create(file)]),
    ...(put === undefined ? [] : [BUNDLE_PUBLISHERS.http_put.create(put)]),
    ...(map === undefined ? [] : [BUNDLE_PUBLISHERS.k8s_configmap.create(map)]),
  ];
}
