/** Asks a bundle endpoint once (SPIFFE Federation sections 5.2.1.4 and 5.2.2.4): one connection, one GET, no redirect, all of it bounded. */
import { request, type IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import { parseBundleDocument } from '../bundle/bundle-document.js';
import type { FederationRelationship } from '../bundle/federation-relationship.js';
import type { TrustBundle } from '../bundle/trust-bundle.js';
import { BonafideError, errorMessage } from '../errors/bonafide-error.js';
import type { Clock } from '../runtime/clock.js';
import { trustDomainOf } from '../spiffe-id/spiffe-id.js';
import {
  checkSelfServed,
  connectToEndpoint,
  type EndpointTrust,
  type SpiffeTrust,
} from './connect-to-endpoint.js';

export interface FetchLimits {
  /** Until the endpoint is connected to and has authenticated itself. */
  readonly connectMs: number;
  /** From the beginning to the last byte. */
  readonly totalMs: number;
  readonly largestBytes: number;
}

export const FETCH_LIMITS: FetchLimits = {
  connectMs: 10_000,
  totalMs: 30_000,
  largestBytes: 4 * 1024 * 1024,
};

const LARGEST_HEADERS_BYTES = 16 * 1024;

export interface BundleFetch {
  readonly relationship: FederationRelationship;
  readonly trust: EndpointTrust;
  readonly limits: FetchLimits;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * @throws BonafideError `unavailable`, `deadline_exceeded`, `unauthenticated`, `failed_precondition` or `invalid_argument` saying what
 * the endpoint did; `cancelled` when the signal fires.
 */
export async function fetchBundle(fetch: BundleFetch): Promise<TrustBundle> {
  const { relationship, limits } = fetch;
  const deadline = new Deadline(fetch);
  try {
    deadline.set(limits.connectMs, 'connect and authenticate');
    const { socket, chain } = await connectToEndpoint(relationship.endpoint, fetch.trust, deadline.signal);
    try {
      deadline.set(limits.totalMs, 'serve its bundle');
      const response = await get(relationship.endpoint.url, socket, deadline.signal);
      checkHead(response, limits);
      const text = await readText(response, limits);
      deadline.signal.throwIfAborted(); // a body without a length also ends when we hang up
      const bundle = parseBundleDocument(relationship.trustDomain, text);
      if (isSelfServed(fetch) && bundle.x509Authorities.length > 0)
        checkSelfServed(chain, fetch.trust, bundle);
      return bundle;
    } finally {
      socket.destroy();
    }
  } catch (error) {
    throw deadline.explain(error);
  } finally {
    deadline.clear();
  }
}

function isSelfServed(fetch: BundleFetch): fetch is BundleFetch & { readonly trust: SpiffeTrust } {
  const { relationship, trust } = fetch;
  return trust.kind === 'https_spiffe' && trustDomainOf(trust.endpointId) === relationship.trustDomain;
}

/** One limit after the other, all counted from the beginning. */
class Deadline {
  readonly #fetch: BundleFetch;
  readonly #controller = new AbortController();
  readonly #startMs: number;
  #cancel: () => void = () => undefined;
  #passed: string | undefined;

  constructor(fetch: BundleFetch) {
    this.#fetch = fetch;
    this.#startMs = fetch.clock.monotonicMs();
    fetch.signal.addEventListener('abort', this.#abort, { once: true });
    if (fetch.signal.aborted) this.#abort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** @param what the endpoint has to do until `limitMs` after the beginning. */
  set(limitMs: number, what: string): void {
    this.#cancel();
    const { clock } = this.#fetch;
    const timer = clock.schedule(this.#startMs + limitMs - clock.monotonicMs(), () => {
      this.#passed = `the bundle endpoint took longer than ${limitMs} ms to ${what}`;
      this.#controller.abort();
    });
    this.#cancel = () => {
      timer.cancel();
    };
  }

  clear(): void {
    this.#cancel();
    this.#fetch.signal.removeEventListener('abort', this.#abort);
  }

  /** What is behind a failure that an abort has caused. */
  explain(error: unknown): BonafideError {
    if (this.#passed !== undefined) return new BonafideError('deadline_exceeded', this.#passed);
    if (this.#controller.signal.aborted)
      return new BonafideError('cancelled', 'the fetch of the bundle was cancelled');
    if (error instanceof BonafideError) return error;
    const message = `the bundle endpoint did not answer: ${errorMessage(error)}`;
    return new BonafideError('unavailable', message, { cause: error });
  }

  readonly #abort = (): void => {
    this.#controller.abort();
  };
}

function get(url: string, socket: TLSSocket, signal: AbortSignal): Promise<IncomingMessage> {
  const { host, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({
      createConnection: () => socket,
      path: pathname + search,
      headers: {
        host,
        accept: 'application/json',
        // What is compressed is of no known size.
        'accept-encoding': 'identity',
        'user-agent': 'bonafide',
        connection: 'close',
      },
      maxHeaderSize: LARGEST_HEADERS_BYTES,
      signal,
    });
    sent.on('response', resolve);
    sent.on('error', reject);
    sent.on('upgrade', (_response, upgraded) => {
      upgraded.destroy();
      reject(misbehaved('it switched to another protocol'));
    });
    sent.end();
  });
}

function checkHead({ statusCode = 0, headers }: IncomingMessage, { largestBytes }: FetchLimits): void {
  if (statusCode >= 300 && statusCode < 400) {
    throw misbehaved(
      `it redirects (status ${statusCode}); redirects are not followed, so name the final URL`,
    );
  }
  if (statusCode !== 200) throw misbehaved(`it answered with status ${statusCode}; expected 200`);
  const { 'content-encoding': encoding, 'content-length': length } = headers;
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw misbehaved('it compressed the bundle, which was not asked for');
  }
  if (length !== undefined && Number(length) > largestBytes) throw tooLarge(largestBytes);
}

async function readText(response: IncomingMessage, { largestBytes }: FetchLimits): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestBytes) throw tooLarge(largestBytes);
    chunks.push(chunk);
  }
  if (!response.complete) throw misbehaved('it broke off');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new BonafideError('invalid_argument', 'the bundle document is not UTF-8', { cause });
  }
}

function tooLarge(largestBytes: number): BonafideError {
  return misbehaved(`it served more than ${largestBytes} bytes`);
}

function misbehaved(what: string): BonafideError {
  return new BonafideError('failed_precondition', `the bundle endpoint is not to be believed: ${what}`);
}
