/** The HTTP API of Vault and OpenBao: JSON over HTTPS with a bounded answer in bounded time, from the configured host and no other. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { BonafideError, errorMessage, type Reason } from '@bonafide/shared/errors/bonafide-error';

export interface VaultTls {
  /** PEM; undefined: the certificate authorities that Node brings. */
  readonly ca: string | undefined;
  readonly isUnverified: boolean;
  /** PEM, for certificate authentication. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

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
  readonly #tls: () => Promise<VaultTls>;
  readonly #limitMs: number;

  /** @param tls asked before each call, so that certificates which were renewed on disk are used. */
  constructor(options: {
    readonly address: URL;
    readonly namespace: string | undefined;
    readonly tls: () => Promise<VaultTls>;
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
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#limitMs)]);
    const agent = await this.#agent();
    try {
      const { status, text } = await send(url, { method, headers, signal: limit, agent }, content);
      return readAnswer(status, text, path);
    } catch (error) {
      if (error instanceof BonafideError) throw error;
      if (signal.aborted) throw new BonafideError('cancelled', 'cancelled while Vault was asked');
      const problem = limit.aborted ? `no answer within ${this.#limitMs / 1000} s` : errorMessage(error);
      throw new BonafideError('unavailable', `cannot ask Vault at ${this.#address.host}: ${problem}`, {
        cause: error,
      });
    } finally {
      agent?.destroy();
    }
  }

  async #agent(): Promise<HttpsAgent | undefined> {
    if (this.#address.protocol !== 'https:') return undefined;
    const { ca, isUnverified, cert, key } = await this.#tls();
    return new HttpsAgent({
      rejectUnauthorized: !isUnverified,
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    });
  }
}

interface SentRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly agent: HttpsAgent | undefined;
}

/** Redirects are not followed: the token is for this host. */
function send(
  url: URL,
  { agent, ...options }: SentRequest,
  content: string | undefined,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const onResponse = (response: IncomingMessage): void => {
      readBounded(response).then((text) => {
        resolve({ status: response.statusCode ?? 0, text });
      }, reject);
    };
    const request =
      agent === undefined
        ? httpRequest(url, options, onResponse)
        : httpsRequest(url, { ...options, agent }, onResponse);
    request.on('error', reject);
    request.end(content);
  });
}

async function readBounded(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) {
      response.destroy();
      throw new BonafideError(
        'failed_precondition',
        `Vault's answer is longer than ${MAX_ANSWER_BYTES} bytes`,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
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
