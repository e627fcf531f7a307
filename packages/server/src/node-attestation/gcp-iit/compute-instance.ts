/** An instance as the Compute Engine API knows it: tags, labels and metadata, of which the configuration chooses. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest, type HttpTls } from '@bonafide/shared/http/send-request';
import { z } from 'zod';
import type { GcpIitConfig } from './gcp-iit-config.js';
import type { InstanceIdentity } from './identity-token.js';

export const COMPUTE_API: URL = new URL('https://compute.googleapis.com/');

const LIMIT_MS = 10_000;
/** Metadata alone may have 512 KB. */
const LARGEST_ANSWER_BYTES = 4 * 1024 * 1024;

const instanceSchema = z.object({
  /** A number of 64 bits, as text. */
  id: z.string(),
  tags: z.object({ items: z.array(z.string()).default([]) }).optional(),
  labels: z.record(z.string(), z.string()).default({}),
  metadata: z
    .object({ items: z.array(z.object({ key: z.string(), value: z.string().default('') })).default([]) })
    .optional(),
});

export type ComputeInstance = z.infer<typeof instanceSchema>;

interface ComputeRequest {
  readonly api: URL;
  readonly accessToken: string;
  readonly signal: AbortSignal;
  readonly tls: HttpTls | undefined;
}

/** @throws BonafideError `unavailable`; `permission_denied` when that instance is gone, or another has its name. */
export async function readComputeInstance(
  { projectId, zone, instanceName, instanceId }: InstanceIdentity,
  { api, accessToken, signal, tls }: ComputeRequest,
): Promise<ComputeInstance> {
  const segments = ['projects', projectId, 'zones', zone, 'instances', instanceName].map(encodeURIComponent);
  const { status, body } = await sendRequest({
    ...{ method: 'GET', url: new URL(`/compute/v1/${segments.join('/')}`, api), signal, tls },
    headers: { authorization: `Bearer ${accessToken}`, accept: 'application/json' },
    ...{ limitMs: LIMIT_MS, largestAnswerBytes: LARGEST_ANSWER_BYTES },
  });
  if (status === 404) throw new BonafideError('permission_denied', 'the instance of the token is gone');
  if (status !== 200) {
    throw new BonafideError('unavailable', `the Compute Engine API answered with status ${status}`);
  }
  const instance = instanceSchema.safeParse(parseJson(body)).data;
  if (instance === undefined) {
    throw new BonafideError(
      'unavailable',
      'the Compute Engine API answered with something else than an instance',
    );
  }
  // Names are used again; the number is not.
  if (instance.id === instanceId) return instance;
  throw new BonafideError('permission_denied', 'another instance has the name of that of the token');
}

/** @throws BonafideError `permission_denied` for metadata that is too long to select by. */
export function instanceSelectorValues(
  { tags, labels, metadata }: ComputeInstance,
  config: Pick<GcpIitConfig, 'allowed_label_keys' | 'allowed_metadata_keys' | 'max_metadata_value_size'>,
): readonly string[] {
  const { allowed_label_keys, allowed_metadata_keys, max_metadata_value_size: most } = config;
  const chosen = (metadata?.items ?? []).filter(({ key }) => allowed_metadata_keys.includes(key));
  for (const { key, value } of chosen) {
    const size = Buffer.byteLength(value);
    if (size <= most) continue;
    const message = `metadata ${JSON.stringify(key)} exceeded value limit (${size} > ${most})`;
    throw new BonafideError('permission_denied', message);
  }
  return [
    ...(tags?.items ?? []).map((tag) => `tag:${tag}`),
    ...Object.entries(labels).flatMap(([key, value]) =>
      allowed_label_keys.includes(key) ? [`label:${key}:${value}`] : [],
    ),
    ...chosen.map(({ key, value }) => `metadata:${key}:${value}`),
  ];
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // said by the caller
  }
}
