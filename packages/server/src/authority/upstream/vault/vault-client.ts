/** The HTTP API of Vault and OpenBao: JSON over HTTPS with a bounded answer in bounded time, from the configured host and no other. */
import { BonafideError, type Reason } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest, type HttpTls } from '@bonafide/shared/http/send-request';

export interface VaultCall {
  readonly method: 'GET' | 'POST';
  /** Behind `/v1/`. */
  readonly path: string;
  readonly token?: string | undefined;
  readonly body?: Readonly<Record<string, unknown>> | undefined;
}

export type VaultAnswer = Readonly<Record<string, unknown>>;

const CALL_LIMIT_MS = 30_000;
const MAX_ANSWER_BYTES = 1024 * 1024;
const MAX_ERROR_CHARACTERS = 500;

export class VaultClient {
  readonly #address: URL;
  readonly #namespace: string | undefined;
  readonly #tls: () => Promise<HttpTls>;
  readonly #limitMs: number;

  /** @param tls asked before each call, so that certificates which were renewed on disk are used. */
  constructor(options: {
    readonly address: URL;
    readonly namespace: string | undefined;
    readonly tls: () => Promise<HttpTls>;
    readonly limitMs?: number | undefined;
  }) {
    this.#address = options.address;
    this.#namespace = options.namespace;
    this.#tls = options.tls;
    this.#limitMs = options.limitMs ?? CALL_LIMIT_MS;
  }

  /**
   * @returns the JSON object of the answer; empty when there is no content.
   * @throws BonafideError `permission_denied` for 403, `unavailable` when it cannot be reached or is overloaded, `failed_precondition` otherwise.
   */
  async call({ method, path, token, body }: VaultCall, signal: AbortSignal): Promise<VaultAnswer> {
    const url = new URL(this.#address);
    url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/${path}`;
    const headers: Record<string, string> = { 'x-vault-request': 'true', accept: 'application/json' };
    if (token !== undefined) headers['x-vault-token'] = token;
    if (this.#namespace !== undefined) headers['x-vault-namespace'] = this.#namespace;
    const content = body === undefined ? undefined : JSON.stringify(body);
    if (content !== undefined) headers['content-type'] = 'application/json';
    // Redirects are not followed: the token is for this host.
    const { status, body: text } = await sendRequest({
      ...{ method, url, headers, signal },
      ...(content === undefined ? {} : { body: content }),
      allowsPlainHttp: true,
      limitMs: this.#limitMs,
      largestAnswerBytes: MAX_ANSWER_BYTES,
      tls: url.protocol === 'https:' ? await this.#tls() : undefined,
    });
    return readAnswer(status, text, path);
  }
}

function readAnswer(status: number, text: string, path: string): VaultAnswer {
  if (status === 204) return {};
  if (status >= 300 && status < 400) {
    const message = `Vault answered ${path} with a redirect (${status}); set vault_addr to the server that answers`;
    throw new BonafideError('failed_precondition', message);
  }
  const answer = parseObject(text);
  if (status < 200 || status > 299) {
    throw new BonafideError(reasonOf(status), `Vault refused ${path} (${status}): ${errorsOf(answer)}`);
  }
  if (answer === undefined) {
    throw new BonafideError('failed_precondition', `Vault answered ${path} with something else than JSON`);
  }
  return answer;
}

function reasonOf(status: number): Reason {
  if (status === 403) return 'permission_denied';
  // 412: not yet replicated, 429: overloaded or standby, 47x and 5xx: standby, sealed, down.
  return status === 412 || status === 429 || status >= 470 ? 'unavailable' : 'failed_precondition';
}

/** What Vault says went wrong; it does not repeat what it was sent. */
function errorsOf(answer: VaultAnswer | undefined): string {
  const errors = answer?.['errors'];
  if (!Array.isArray(errors) || errors.length === 0) return 'no reason given';
  return errors
    .map((error) => String(error).replace(/\s+/g, ' '))
    .join('; ')
    .slice(0, MAX_ERROR_CHARACTERS);
}

function parseObject(text: string): VaultAnswer | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined; // said by the caller, without quoting what may hold a secret
  }
}

/** A member of an answer that is an object. */
export function objectIn(answer: VaultAnswer, member: string): VaultAnswer | undefined {
  const value = answer[member];
  return isObject(value) ? value : undefined;
}

function isObject(value: unknown): value is VaultAnswer {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
