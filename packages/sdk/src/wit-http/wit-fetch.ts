/** `fetch` as a workload: every request carries the WIT-SVID with a proof, and signed answers are verified. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { fieldLines } from '../http-signature/http-message.js';
import type { WitIdentity, WitTrust } from '../wit-source.js';
import { proveRequest, type ProofOptions } from './prove-request.js';
import { readBody } from './read-body.js';
import { checkTransport, type TransportOptions } from './transport.js';
import { needsSignature, verifyResponse, type ResponsePolicy } from './verify-response.js';

/** How `witFetch` proves requests and judges answers. */
export interface WitFetchOptions extends ProofOptions, TransportOptions {
  /** What the recipient is called, for another name than the URL without its query; given the URL. */
  readonly audience?: ((url: URL) => string) | undefined;
  /** How answers are judged. One that is signed is verified in any case, an HTTP signature having been sent. */
  readonly response?: ResponsePolicy | undefined;
  /** Sends the request; the global one unless told. */
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/**
 * Bodies are held whole, to be signed. Redirects are not followed, for the proof is for one URL: an answer with one is returned as it is.
 * @example
 * const call = witFetch(source, { response: { isRequired: true, authorizer: authorizeId('spiffe://example.org/billing') } });
 * const response = await call('https://billing.internal:8443/invoices', { method: 'POST', body: '{}' });
 * @returns a function as `fetch`, which throws also BonafideError: `invalid_argument` for a request that cannot carry a proof, such as
 * one in plaintext; `failed_precondition` or `permission_denied` without an SVID; `unauthenticated` or `permission_denied` for a
 * signed answer that is not to be believed.
 */
export function witFetch(
  source: WitIdentity & WitTrust,
  options: WitFetchOptions = {},
): typeof globalThis.fetch {
  const send = options.fetch ?? globalThis.fetch;
  const policy = options.response ?? {};
  return async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    checkTransport(url.protocol, options);
    const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer());
    const sent = { method: request.method, target: url.pathname + url.search };
    const { headers, nonce } = await proveRequest(
      source.svid,
      {
        ...sent,
        fields: fieldLines(Object.fromEntries(request.headers)),
        body,
        audience: options.audience?.(url) ?? url.origin + url.pathname,
        wantsSignedResponse: needsSignature(policy),
      },
      options,
    );
    for (const [name, value] of Object.entries(headers)) request.headers.set(name, value);
    const response = await send(url, {
      ...init,
      method: request.method,
      headers: request.headers,
      signal: request.signal,
      redirect: 'manual',
      ...(body !== undefined && { body }),
    });
    return nonce === undefined ? response : verified(response, sent, nonce);
  };

  async function verified(
    response: Response,
    request: { readonly method: string; readonly target: string },
    nonce: string,
  ): Promise<Response> {
    const fields = fieldLines(Object.fromEntries(response.headers));
    try {
      const result = await verifyResponse({
        response: { status: response.status, fields, request },
        readBody: (maxBytes) => readResponse(response, maxBytes),
        nonce,
        trust: source,
        policy,
        clock: options.clock,
      });
      if (result === undefined) return response;
      const { status, statusText, headers } = response;
      // Statuses without a body may not be given an empty one.
      const body = response.body === null ? null : Buffer.from(result.body);
      return new Response(body, { status, statusText, headers });
    } catch (error) {
      await response.body?.cancel().catch(() => undefined); // nobody reads on; an error of the rest changes nothing
      throw error;
    }
  }
}

async function readResponse(response: Response, maxBytes: number): Promise<Uint8Array> {
  if (response.body === null) return new Uint8Array();
  if (response.headers.has('content-encoding')) {
    // RFC 9530 section 2: the digest is of the encoded bytes, which `fetch` does not show.
    throw invalidArgument(
      'the signed response has a content encoding; ask the server for none with Accept-Encoding: identity',
    );
  }
  if (response.bodyUsed) throw new BonafideError('internal', 'the response was read before it was verified');
  return readBody(response.body, maxBytes);
}
