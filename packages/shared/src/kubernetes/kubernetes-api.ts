/** What we ask of a Kubernetes API server: whose a token is, and what pods and nodes are. Its answers are bounded and checked. */
import { z } from 'zod';
import { BonafideError, invalidArgument } from '../errors/bonafide-error.js';
import { sendRequest } from '../http/send-request.js';
import type { ClusterAccess } from './cluster-access.js';

const LONGEST_CALL_MS = 10_000;
/** Objects have up to 1.5 MB in etcd. */
const LARGEST_ANSWER_BYTES = 4 * 1024 * 1024;
const MOST_MESSAGE_CHARACTERS = 300;
/** RFC 7396: what is not named stays. */
const MERGE_PATCH = { method: 'PATCH', contentType: 'application/merge-patch+json' } as const;
const CREATION = { method: 'POST', contentType: 'application/json' } as const;

const texts = z.array(z.string());

const tokenReviewSchema = z.object({
  kind: z.literal('TokenReview'),
  status: z.object({
    authenticated: z.boolean().default(false),
    error: z.string().default(''),
    audiences: texts.nullish(),
    user: z
      .object({ username: z.string().default(''), extra: z.record(z.string(), texts).nullish() })
      .default({ username: '' }),
  }),
});

const metadata = z.object({
  name: z.string(),
  uid: z.string().min(1),
  labels: z.record(z.string(), z.string()).nullish(),
});

const podSchema = z.object({
  kind: z.literal('Pod'),
  metadata: metadata.extend({ namespace: z.string() }),
  /** Neither before the pod is placed. */
  spec: z.object({ nodeName: z.string().optional() }),
  status: z.object({ hostIP: z.string().optional() }).optional(),
});

const nodeSchema = z.object({ kind: z.literal('Node'), metadata });
const configMapSchema = z.object({
  kind: z.literal('ConfigMap'),
  metadata: z.object({ name: z.string() }),
  data: z.record(z.string(), z.string()).nullish(),
});
const namespaceSchema = z.object({ kind: z.literal('Namespace'), metadata });

export type TokenReviewStatus = z.infer<typeof tokenReviewSchema>['status'];
export type KubernetesPod = z.infer<typeof podSchema>;
export type KubernetesNode = z.infer<typeof nodeSchema>;
type KubernetesNamespace = z.infer<typeof namespaceSchema>;

interface KubernetesApiOptions {
  /** Asked before every call. */
  readonly access: () => Promise<ClusterAccess>;
  readonly signal: AbortSignal;
  readonly limitMs?: number | undefined;
}

export class KubernetesApi {
  readonly #access: () => Promise<ClusterAccess>;
  readonly #signal: AbortSignal;
  readonly #limitMs: number;

  constructor({ access, signal, limitMs = LONGEST_CALL_MS }: KubernetesApiOptions) {
    this.#access = access;
    this.#signal = signal;
    this.#limitMs = limitMs;
  }

  /**
   * @param audiences none: that of the API server itself.
   * @throws BonafideError `unavailable`, `failed_precondition` when we may not ask, `internal` for an answer that is none.
   */
  async reviewToken(token: string, audiences: readonly string[]): Promise<TokenReviewStatus> {
    const review = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, ...(audiences.length === 0 ? {} : { audiences }) },
    };
    const path = '/apis/authentication.k8s.io/v1/tokenreviews';
    return (await this.#call('token review', path, tokenReviewSchema, JSON.stringify(review))).status;
  }

  /** @throws BonafideError as `reviewToken`; `not_found`. */
  async getPod(namespace: string, name: string): Promise<KubernetesPod> {
    const path = `/api/v1/namespaces/${segment(namespace)}/pods/${segment(name)}`;
    const pod = await this.#call('pod', path, podSchema);
    if (pod.metadata.name === name && pod.metadata.namespace === namespace) return pod;
    throw new BonafideError('internal', 'the API server answered with another pod than was asked for');
  }

  /** @throws BonafideError as `reviewToken`; `not_found`. */
  async getNode(name: string): Promise<KubernetesNode> {
    const node = await this.#call('node', `/api/v1/nodes/${segment(name)}`, nodeSchema);
    if (node.metadata.name === name) return node;
    throw new BonafideError('internal', 'the API server answered with another node than was asked for');
  }

  /** @throws BonafideError as `reviewToken`; `not_found`. */
  async getNamespace(name: string): Promise<KubernetesNamespace> {
    const namespace = await this.#call('namespace', `/api/v1/namespaces/${segment(name)}`, namespaceSchema);
    if (namespace.metadata.name === name) return namespace;
    throw new BonafideError('internal', 'the API server answered with another namespace than was asked for');
  }

  /** Its other keys stay. @throws BonafideError as `reviewToken`; `not_found` when there is no such ConfigMap. */
  async setConfigMapKey(
    { namespace, name, key }: { readonly namespace: string; readonly name: string; readonly key: string },
    value: string,
  ): Promise<void> {
    const path = `/api/v1/namespaces/${segment(namespace)}/configmaps/${segment(name)}`;
    const body = JSON.stringify({ data: { [key]: value } });
    const written = await this.#call('config map', path, configMapSchema, body, MERGE_PATCH);
    if (written.metadata.name === name && written.data?.[key] === value) return;
    throw new BonafideError('internal', 'the API server did not write what it was given');
  }

  async #call<T>(
    what: string,
    path: string,
    schema: z.ZodType<T>,
    body?: string,
    { method, contentType }: typeof MERGE_PATCH | typeof CREATION = CREATION,
  ): Promise<T> {
    const { server, tls, bearerToken } = await this.#access();
    const url = new URL(server);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}${path}`;
    const answer = await sendRequest({
      ...{
        method: body === undefined ? 'GET' : method,
        url,
        tls,
        signal: this.#signal,
        limitMs: this.#limitMs,
      },
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': contentType }),
        ...(bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` }),
      },
      ...(body === undefined ? {} : { body }),
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
    });
    if (answer.status === 200 || answer.status === 201) return readObject(answer.body, schema, what);
    throw failure(what, answer.status, answer.body);
  }
}

function readObject<T>(text: string, schema: z.ZodType<T>, what: string): T {
  const result = schema.safeParse(parseJson(text));
  if (result.success) return result.data;
  throw new BonafideError('internal', `the API server answered with something else than a ${what}`);
}

function failure(what: string, status: number, body: string): BonafideError {
  const said =
    z.object({ message: z.string() }).safeParse(parseJson(body)).data?.message ?? 'no reason given';
  const message = `the API server answered the ${what} with status ${status}: ${said.replace(/\s+/g, ' ').slice(0, MOST_MESSAGE_CHARACTERS)}`;
  if (status === 404) return new BonafideError('not_found', message);
  if (status === 401 || status === 403) return new BonafideError('failed_precondition', message);
  return new BonafideError('unavailable', message);
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // said by the caller
  }
}

/** RFC 1123 names, of which all that we ask for are. @throws BonafideError `invalid_argument`. */
function segment(name: string): string {
  if (/^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/.test(name)) return name;
  throw invalidArgument(`${JSON.stringify(name.slice(0, 100))} is no name of a Kubernetes object`);
}
