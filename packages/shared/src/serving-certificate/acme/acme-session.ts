/** A conversation with an ACME authority (RFC 8555 section 6): every request signed by the account's key, over a nonce used once. */
import { createHash, type KeyObject } from 'node:crypto';
import { spkiToJwk } from '../../crypto/json-web-key.js';
import { signJws } from '../../crypto/jws-algorithm.js';
import { exportSpki } from '../../crypto/private-key-encoding.js';
import { createKeySigner } from '../../crypto/signer.js';
import { BonafideError } from '../../errors/bonafide-error.js';
import { sendRequest, type HttpAnswer, type HttpRequest } from '../../http/send-request.js';
import { z } from 'zod';

const REQUEST_LIMIT_MS = 30_000;
const LARGEST_ANSWER_BYTES = 256 * 1024;
/** RFC 8555 section 6.5: a refused nonce is no failure; it comes with a fresh one. */
const MOST_TRIES = 4;
/** Of what a stranger says that goes into our log. */
const MOST_DETAIL_CHARACTERS = 400;

const directorySchema = z.object({ newNonce: z.url(), newAccount: z.url(), newOrder: z.url() });
const problemSchema = z.object({ type: z.string().optional(), detail: z.string().optional() });

export interface AcmeSessionOptions {
  readonly directoryUrl: URL;
  /** EC P-256. */
  readonly accountKey: KeyObject;
  /** PEM of the authority's own TLS roots; undefined: those that Node.js trusts. */
  readonly trustedRoots: string | undefined;
  readonly signal: AbortSignal;
}

export class AcmeSession {
  readonly #options: AcmeSessionOptions;
  readonly #directory: z.output<typeof directorySchema>;
  #accountUrl: string | undefined;
  #nonce: string | undefined;

  private constructor(options: AcmeSessionOptions, directory: z.output<typeof directorySchema>) {
    this.#options = options;
    this.#directory = directory;
  }

  /** Finds the account of the key, or makes it (RFC 8555 section 7.3). @throws BonafideError `unavailable` with what the authority says. */
  static async open(options: AcmeSessionOptions, email: string): Promise<AcmeSession> {
    const answer = await send(options, { method: 'GET', url: options.directoryUrl });
    const session = new AcmeSession(options, readJson(directorySchema, answer));
    const account = await session.post(session.#directory.newAccount, {
      termsOfServiceAgreed: true,
      contact: [`mailto:${email}`],
    });
    session.#accountUrl = requiredHeader(account, 'location');
    return session;
  }

  get newOrderUrl(): string {
    return this.#directory.newOrder;
  }

  /** RFC 8555 section 8.1: the token bound to the account's key. */
  keyAuthorization(token: string): string {
    // RFC 7638: the members that make the key, in alphabetical order.
    const members = Object.entries(this.#publicJwk()).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const thumbprint = createHash('sha256').update(JSON.stringify(Object.fromEntries(members)));
    return `${token}.${thumbprint.digest('base64url')}`;
  }

  /** @param payload undefined to read only (POST-as-GET, section 6.3). */
  async post(url: string, payload: unknown): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt += 1) {
      const body = await this.#sign(url, payload);
      const headers = { 'content-type': 'application/jose+json' };
      const answer = await send(this.#options, { method: 'POST', url: parseUrl(url), headers, body });
      this.#nonce = nonceOf(answer);
      if (answer.status < 300) return answer;
      const { type = '', detail = '' } = readProblem(answer);
      if (type === 'urn:ietf:params:acme:error:badNonce' && attempt < MOST_TRIES) continue;
      throw new BonafideError(
        'unavailable',
        `the ACME authority refuses (status ${answer.status}): ${printable(type)} ${printable(detail)}`,
      );
    }
  }

  async #sign(url: string, payload: unknown): Promise<string> {
    const identity = this.#accountUrl === undefined ? { jwk: this.#publicJwk() } : { kid: this.#accountUrl };
    const header = { alg: 'ES256', nonce: await this.#takeNonce(), url, ...identity };
    const protectedHeader = base64Url(JSON.stringify(header));
    const content = payload === undefined ? '' : base64Url(JSON.stringify(payload));
    const signer = createKeySigner(this.#options.accountKey);
    const signature = await signJws(signer, Buffer.from(`${protectedHeader}.${content}`));
    return JSON.stringify({
      protected: protectedHeader,
      payload: content,
      signature: signature.toString('base64url'),
    });
  }

  async #takeNonce(): Promise<string> {
    const nonce = this.#nonce;
    this.#nonce = undefined;
    if (nonce !== undefined) return nonce;
    const answer = await send(this.#options, { method: 'HEAD', url: parseUrl(this.#directory.newNonce) });
    return requiredHeader(answer, 'replay-nonce');
  }

  #publicJwk(): ReturnType<typeof spkiToJwk> {
    return spkiToJwk(exportSpki(this.#options.accountKey));
  }
}

/** @throws BonafideError `unavailable` when the authority's answer is not what RFC 8555 has there. */
export function readJson<S extends z.ZodType>(schema: S, { body, status }: HttpAnswer): z.output<S> {
  try {
    return schema.parse(JSON.parse(body));
  } catch (cause) {
    throw new BonafideError('unavailable', `the ACME authority's answer (status ${status}) is malformed`, {
      cause,
    });
  }
}

export function requiredHeader({ headers }: HttpAnswer, name: string): string {
  const value = headers[name];
  if (typeof value === 'string' && value !== '') return value;
  throw new BonafideError('unavailable', `the ACME authority's answer has no ${name} header`);
}

/** Control characters of a stranger have no place in a log. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, ' ').slice(0, MOST_DETAIL_CHARACTERS);
}

function send(
  { trustedRoots, signal }: AcmeSessionOptions,
  request: Pick<HttpRequest, 'method' | 'url' | 'headers' | 'body'>,
): Promise<HttpAnswer> {
  return sendRequest({
    ...request,
    limitMs: REQUEST_LIMIT_MS,
    largestAnswerBytes: LARGEST_ANSWER_BYTES,
    signal,
    tls: { ca: trustedRoots },
  });
}

function readProblem({ body }: HttpAnswer): z.output<typeof problemSchema> {
  try {
    return problemSchema.parse(JSON.parse(body));
  } catch {
    return {}; // the status alone says that it was refused
  }
}

function nonceOf({ headers }: HttpAnswer): string | undefined {
  const nonce = headers['replay-nonce'];
  return typeof nonce === 'string' && /^[A-Za-z0-9_-]+$/.test(nonce) ? nonce : undefined;
}

function parseUrl(text: string): URL {
  if (!URL.canParse(text)) throw new BonafideError('unavailable', `the ACME authority names a malformed URL`);
  return new URL(text);
}

function base64Url(text: string): string {
  return Buffer.from(text).toString('base64url');
}
