/** Configuration of `k8s_psat`, with SPIRE's names. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { z } from 'zod';

const DEFAULT_AUDIENCE = 'spire-server';

const labelKeys = z.array(z.string().min(1)).max(1_000).default([]);

const clusterSchema = z.strictObject({
  /** `namespace:name`. */
  service_account_allow_list: z.array(parsedString(parseServiceAccount)).min(1),
  /** Empty: that of the API server. */
  audience: z.array(z.string().min(1)).max(100).default([DEFAULT_AUDIENCE]),
  /** Absent or empty: this server is a pod of the cluster. */
  kube_config_file: z.string().optional(),
  allowed_node_label_keys: labelKeys,
  allowed_pod_label_keys: labelKeys,
  use_pod_uid_for_agent_id: z.boolean().default(false),
});

export const k8sPsatConfigSchema = z.strictObject({
  /** By the name that agents give, which is a part of their IDs. */
  clusters: z
    .record(
      z
        .string()
        .regex(/^(?!\.\.?$)[A-Za-z0-9._-]{1,256}$/, 'expected letters, digits, dots, dashes and underscores'),
      clusterSchema,
    )
    .default({}),
});

export type K8sClusterConfig = z.infer<typeof clusterSchema>;
export type K8sPsatConfig = z.infer<typeof k8sPsatConfigSchema>;

function parseServiceAccount(text: string): string {
  if (/^[a-z0-9.-]+:[a-z0-9.-]+$/.test(text)) return text;
  throw invalidArgument(`${JSON.stringify(text)} is no service account; expected namespace:name`);
}
