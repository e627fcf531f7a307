/** Questions to Azure's resource manager: its Resource Graph, and plain GETs. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';
import { parseUniqueJsonObject, type JsonObject } from '@bonafide/shared/jwt/unique-json';
import { z } from 'zod';

const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 4 * 1024 * 1024;

const answerSchema = z.object({ data: z.array(z.unknown()).max(1000) });

export class ResourceManager {
  readonly #origin: URL;
  readonly #token: string;
  readonly #signal: AbortSignal;

  constructor(options: { readonly origin: URL; readonly token: string; readonly signal: AbortSignal }) {
    this.#origin = options.origin;
    this.#token = options.token;
    this.#signal = options.signal;
  }

  /**
   * @param query KQL; whatever comes from a node must have been checked to hold no character with a meaning in it.
   * @returns the rows. @throws BonafideError `unavailable`, `permission_denied`.
   */
  async query<S extends z.ZodType>(
    row: S,
    query: string,
    subscriptionId: string,
  ): Promise<readonly z.output<S>[]> {
    const answer = await this.#send(
      new URL('/providers/Microsoft.ResourceGraph/resources?api-version=2021-03-01', this.#origin),
      JSON.stringify({
        query,
        subscriptions: [subscriptionId],
        options: { resultFormat: 'objectArray' },
      }),
    );
    return parse(answerSchema, answer, 'a query').data.map((one) => parse(row, one, 'a query'));
  }

  /** @param link a path, or a URL that an answer named. */
  async get<S extends z.ZodType>(schema: S, link: string): Promise<z.output<S>> {
    const url = URL.canParse(link, this.#origin.href) ? new URL(link, this.#origin) : undefined;
    // The token goes nowhere else.
    if (url?.origin !== this.#origin.origin)
      throw new BonafideError('unavailable', 'Azure pointed to another host for the rest of a list');
    return parse(schema, await this.#send(url, undefined), url.pathname);
  }

  async #send(url: URL, body: string | undefined): Promise<JsonObject> {
    const { status, bytes } = await sendRequest({
      method: body === undefined ? 'GET' : 'POST',
      url,
      allowsPlainHttp: this.#origin.protocol === 'http:',
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
      limitMs: LIMIT_MS,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
      signal: this.#signal,
    });
    if (status === 200) return parseUniqueJsonObject(bytes, 'answer of Azure');
    throw new BonafideError(
      status >= 500 || status === 429 ? 'unavailable' : 'permission_denied',
      `Azure refused to tell about resources (status ${status}); the server's application needs the role Reader on the subscription`,
    );
  }
}

function parse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new BonafideError(
    'unavailable',
    `the answer of Azure to ${what} lacks what is expected at ${issue?.path.join('.') ?? 'its root'}`,
  );
}
