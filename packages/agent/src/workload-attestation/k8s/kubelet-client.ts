/** Asks the kubelet of this node for its pods; the answer is bounded in time and size. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { KubeletEndpoint } from './k8s-config.js';
import { loadKubeletAccess, type KubeletAccess } from './kubelet-access.js';
import { parsePodList, type PodList } from './pod-list.js';

const LONGEST_CALL_MS = 3_000;
/** A pod of many containers, with the fields that Kubernetes manages, is some 30 KB. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;
const MOST_MESSAGE_CHARACTERS = 300;

interface KubeletClientOptions {
  readonly endpoint: KubeletEndpoint;
  /** Undefined: it is on 127.0.0.1. */
  readonly nodeName: string | undefined;
  readonly reloadIntervalMs: number;
  readonly clock: Clock;
  readonly limitMs?: number | undefined;
}

export class KubeletClient {
  readonly #options: KubeletClientOptions;
  #access: { readonly loaded: KubeletAccess; readonly atMs: number } | undefined;

  constructor(options: KubeletClientOptions) {
    this.#options = options;
  }

  /**
   * @throws BonafideError `unavailable`; `failed_precondition` when it may not be asked or a file of ours is not there; `internal` for an
   * answer that is none; `cancelled`.
   */
  async listPods(signal: AbortSignal): Promise<PodList> {
    const { loaded, atMs } = await this.#load();
    this.#access = undefined; // What did not work is read anew: it may have been replaced, or half of it.
    const list = parsePodList(await this.#request(loaded, signal));
    this.#access = { loaded, atMs };
    return list;
  }

  async #load(): Promise<{ readonly loaded: KubeletAccess; readonly atMs: number }> {
    const { clock, endpoint, nodeName, reloadIntervalMs } = this.#options;
    const nowMs = clock.monotonicMs();
    if (this.#access !== undefined && nowMs - this.#access.atMs < reloadIntervalMs) return this.#access;
    return { loaded: await loadKubeletAccess(endpoint, nodeName), atMs: nowMs };
  }

  async #request({ bearerToken, tls, url }: KubeletAccess, signal: AbortSignal): Promise<string> {
    const answer = await sendRequest({
      ...{ method: 'GET', url, tls, signal, allowsPlainHttp: tls === undefined },
      headers: {
        accept: 'application/json',
        ...(bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken}` }),
      },
      limitMs: this.#options.limitMs ?? LONGEST_CALL_MS,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
    });
    if (answer.status === 200) return answer.body;
    throw refusal(answer.status, answer.body);
  }
}

function refusal(status: number, body: string): BonafideError {
  const said = body.replace(/\s+/g, ' ').trim().slice(0, MOST_MESSAGE_CHARACTERS);
  const message = `the kubelet answered with status ${status}${said === '' ? '' : `: ${said}`}`;
  if (status === 401) {
    return new BonafideError(
      'failed_precondition',
      `${message}; expected a token or certificate that it accepts`,
    );
  }
  if (status === 403) {
    const right = "'get' on nodes/proxy, or on nodes/pods where fine-grained authorization is on";
    return new BonafideError(
      'failed_precondition',
      `${message}; expected the agent to have the right ${right}`,
    );
  }
  return new BonafideError('unavailable', message);
}
