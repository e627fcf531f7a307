/** The configuration of the `k8s` workload attestor: SPIRE's keys, those of what is not supported refused by name. */
import { durationSchema } from '@bonafide/shared/config/duration';
import { z } from 'zod';

const POD_CREDENTIALS_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount';
const DEFAULT_SECURE_PORT = 10250;

const port = z.int().min(1).max(65535);
const path = z.string().min(1);

/** As it stands in the file. */
const fileSchema = z.strictObject({
  kubelet_read_only_port: port.optional(),
  kubelet_secure_port: port.optional(),
  kubelet_ca_path: path.default(`${POD_CREDENTIALS_DIRECTORY}/ca.crt`),
  skip_kubelet_verification: z.boolean().default(false),
  token_path: path.optional(),
  certificate_path: path.optional(),
  private_key_path: path.optional(),
  use_anonymous_authentication: z.boolean().default(false),
  node_name_env: z.string().min(1).default('MY_NODE_NAME'),
  node_name: z.string().min(1).optional(),
  /** How often the CA, the token and the certificate are read anew. */
  reload_interval: durationSchema.prefault('1m'),
  max_poll_attempts: z.int().min(1).max(10_000).default(60),
  poll_retry_interval: durationSchema.prefault('500ms'),
  disable_container_selectors: z.boolean().default(false),
  /** Asks the API server; needs the right to get namespaces. */
  enable_namespace_labels: z.boolean().default(false),
  use_new_container_locator: z.boolean().default(true),
  verbose_container_locator_logs: z.boolean().default(false),
  disable_kubelet_client: z.boolean().default(false),
  sigstore: z.unknown().optional(),
  experimental: z.unknown().optional(),
});

type FileConfig = z.output<typeof fileSchema>;

/** How the kubelet is asked. */
export type KubeletAuthentication =
  | { readonly kind: 'token'; readonly tokenPath: string }
  | { readonly kind: 'certificate'; readonly certificatePath: string; readonly privateKeyPath: string }
  | { readonly kind: 'anonymous' };

export type KubeletEndpoint =
  | { readonly kind: 'read_only'; readonly port: number }
  | {
      readonly kind: 'secure';
      readonly port: number;
      /** Undefined: whoever answers is believed. */
      readonly caPath: string | undefined;
      readonly authentication: KubeletAuthentication;
    };

export interface K8sConfig {
  readonly kubelet: KubeletEndpoint;
  readonly nodeName: string | undefined;
  readonly nodeNameVariable: string;
  readonly reloadIntervalMs: number;
  readonly mostPollAttempts: number;
  readonly pollIntervalMs: number;
  readonly hasContainerSelectors: boolean;
  readonly hasNamespaceLabels: boolean;
  readonly logsContainerLocations: boolean;
}

export const k8sConfigSchema: z.ZodType<K8sConfig, z.input<typeof fileSchema>> = fileSchema
  .superRefine((file, context) => {
    for (const [key, message] of contradictions(file)) {
      context.addIssue({ code: 'custom', path: [key], message });
    }
  })
  .transform((file) => ({
    kubelet: kubeletEndpoint(file),
    nodeName: file.node_name,
    nodeNameVariable: file.node_name_env,
    reloadIntervalMs: file.reload_interval * 1000,
    mostPollAttempts: file.max_poll_attempts,
    pollIntervalMs: file.poll_retry_interval * 1000,
    hasContainerSelectors: !file.disable_container_selectors,
    hasNamespaceLabels: file.enable_namespace_labels,
    logsContainerLocations: file.verbose_container_locator_logs,
  }));

function* contradictions(file: FileConfig): Generator<readonly [key: keyof FileConfig, message: string]> {
  if (file.kubelet_read_only_port !== undefined && file.kubelet_secure_port !== undefined) {
    yield ['kubelet_secure_port', 'cannot be set together with kubelet_read_only_port; expected one of them'];
  }
  if (file.certificate_path !== undefined && file.private_key_path === undefined) {
    yield ['private_key_path', 'is missing; expected it together with certificate_path'];
  }
  if (file.private_key_path !== undefined && file.certificate_path === undefined) {
    yield ['certificate_path', 'is missing; expected it together with private_key_path'];
  }
  const named = (['token_path', 'certificate_path', 'private_key_path'] as const).find(
    (key) => file[key] !== undefined,
  );
  if (file.use_anonymous_authentication && named !== undefined) {
    yield [named, 'cannot be set together with use_anonymous_authentication; expected one of them'];
  }
  if (!file.use_new_container_locator) {
    yield [
      'use_new_container_locator',
      'cannot be false; there is one way to find the container of a process',
    ];
  }
  if (file.disable_kubelet_client) {
    yield ['disable_kubelet_client', 'cannot be true; pods are known from the kubelet only'];
  }
  if (file.sigstore !== undefined) {
    yield ['sigstore', 'is not supported; signatures of images are not verified here, remove it'];
  }
  if (file.experimental !== undefined) {
    yield [
      'experimental',
      'is not supported; expected who may use the broker in the configuration of the broker',
    ];
  }
}

function kubeletEndpoint(file: FileConfig): KubeletEndpoint {
  if (file.kubelet_read_only_port !== undefined) {
    return { kind: 'read_only', port: file.kubelet_read_only_port };
  }
  return {
    kind: 'secure',
    port: file.kubelet_secure_port ?? DEFAULT_SECURE_PORT,
    caPath: file.skip_kubelet_verification ? undefined : file.kubelet_ca_path,
    authentication: authentication(file),
  };
}

/** A certificate goes before a token, as in SPIRE. */
function authentication(file: FileConfig): KubeletAuthentication {
  const { certificate_path: certificatePath, private_key_path: privateKeyPath } = file;
  if (file.use_anonymous_authentication) return { kind: 'anonymous' };
  if (certificatePath !== undefined && privateKeyPath !== undefined) {
    return { kind: 'certificate', certificatePath, privateKeyPath };
  }
  return { kind: 'token', tokenPath: file.token_path ?? `${POD_CREDENTIALS_DIRECTORY}/token` };
}
