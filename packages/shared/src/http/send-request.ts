/** One HTTPS request, or HTTP where that is allowed, bounded in time and in the size of its answer; redirects are answers like any other. */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction } from 'node:net';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'PATCH' | 'POST' | 'PUT';
  /** https, unless plain HTTP is allowed. */
  readonly url: URL;
  readonly allowsPlainHttp?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Of the whole exchange. */
  readonly limitMs: number;
  readonly largestAnswerBytes: number;
  readonly signal: AbortSignal;
  readonly tls?: HttpTls | undefined;
  /** In the place of the system's: gives the addresses to connect to, and no others are. Not asked when the URL has an address. */
  readonly lookup?: LookupFunction | undefined;
}

/** PEM. */
export interface HttpTls {
  /** In the place of those that Node.js trusts. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** For which the certificate must be, in the place of the URL's host. */
  readonly serverName?: string | undefined;
  /** The certificate may be for any name: only who signed it counts. */
  readonly isAnyName?: boolean;
  /** Whoever answers is believed. */
  readonly isUnverified?: boolean;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** The body as it came. */
  readonly bytes: Buffer;
}

/** @throws BonafideError `unavailable` when there is no whole answer within the limits, `cancelled` when the signal fired. */
export async function sendRequest(options: HttpRequest): Promise<HttpAnswer> {
  const { url, limitMs, signal, allowsPlainHttp = false } = options;
  if (url.protocol !== 'https:' && !(allowsPlainHttp && url.protocol === 'http:')) {
    throw new BonafideError('invalid_argument', `${url.origin} is not https`);
  }
  const limit = AbortSignal.timeout(limitMs);
  try {
    return await exchange(options, AbortSignal.any([signal, limit]));
  } catch (error) {
    if (signal.aborted) throw new BonafideError('cancelled', `cancelled the request to ${url.origin}`);
    const why = limit.aborted ? `no answer within ${limitMs} ms` : errorMessage(error);
    throw new BonafideError('unavailable', `cannot reach ${url.origin}: ${why}`, { cause: error });
  }
}

function exchange(options: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
  const { method, url, headers = {}, body, largestAnswerBytes, tls, lookup } = options;
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
    const request = send(url, {
      method,
      headers: { 'user-agent': 'bonafide', ...headers, ...length },
      agent: false,
      signal,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: tls?.isUnverified !== true, // NODE_TLS_REJECT_UNAUTHORIZED has no say
      ca: tls?.ca,
      cert: tls?.cert,
      key: tls?.key,
      ...(tls?.serverName === undefined ? {} : { servername: tls.serverName }),
      ...(tls?.isAnyName === true ? { checkServerIdentity: () => undefined } : {}),
      ...(lookup === undefined ? {} : { lookup }),
    });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > largestAnswerBytes) {
          // Said here: of an answer that has come whole, destroy makes an end and no error.
          reject(new Error(`the answer is longer than ${largestAnswerBytes} bytes`));
          request.destroy();
        } else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response;
        const bytes = Buffer.concat(chunks);
        resolve({ status, headers, body: bytes.toString('utf8'), bytes });
      });
    });
    request.end(body);
  });
}
