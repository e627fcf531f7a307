/** Requests of node:http and node:https as a workload. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { fieldLines } from '../http-signature/http-message.js';
import type { WitIdentity, WitTrust } from '../wit-source.js';
import { incomingFields } from './incoming-fields.js';
import { proveRequest, type ProofOptions } from './prove-request.js';
import { readBody } from './read-body.js';
import { checkTransport, type TransportOptions } from './transport.js';
import {
  needsSignature,
  verifyResponse,
  type ResponsePolicy,
  type VerifiedResponse,
} from './verify-response.js';

/** How a request of node:http is proved. */
export interface SignNodeRequestOptions extends ProofOptions, TransportOptions {
  /** What will be sent with `request.end(body)`, byte for byte; undefined for none. */
  readonly body?: Uint8Array | undefined;
  /** For another name than the request's URL without its query. */
  readonly audience?: string | undefined;
  /** The server must sign its answer, or refuse. */
  readonly wantsSignedResponse?: boolean | undefined;
}

/** What `verifyWitResponse` needs of a request. */
export interface SignedNodeRequest {
  readonly method: string;
  readonly target: string;
  /** Undefined for a workload proof token. */
  readonly nonce: string | undefined;
}

/**
 * Sets the headers of a request that has all its others and of which nothing was sent yet.
 * @example
 * const request = https.request('https://billing.internal:8443/invoices', { method: 'POST' });
 * await signNodeRequest(source, request, { body });
 * request.end(body);
 * @throws BonafideError as the function that `witFetch` returns.
 */
export async function signNodeRequest(
  source: WitIdentity,
  request: ClientRequest,
  options: SignNodeRequestOptions = {},
): Promise<SignedNodeRequest> {
  checkTransport(request.protocol, options);
  const { method, path: target } = request;
  const [path = ''] = target.split('?');
  const host = request.getHeader('host');
  const { headers, nonce } = await proveRequest(
    source.svid,
    {
      method,
      target,
      fields: fieldLines(request.getHeaders()),
      body: options.body,
      audience: options.audience ?? `${request.protocol}//${String(host).toLowerCase()}${path}`,
      wantsSignedResponse: options.wantsSignedResponse ?? false,
    },
    options,
  );
  for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
  return { method, target, nonce };
}

/**
 * Verifies the answer to a request of `signNodeRequest` and reads its body.
 * @returns undefined for an answer that is not signed and need not be; its body is then still to be read.
 * @throws BonafideError `unauthenticated`, `permission_denied` or `invalid_argument` for one that is not to be believed.
 */
export async function verifyWitResponse(
  trust: WitTrust,
  response: IncomingMessage,
  { method, target, nonce }: SignedNodeRequest,
  policy: ResponsePolicy & Pick<ProofOptions, 'clock'> = {},
): Promise<VerifiedResponse | undefined> {
  if (nonce === undefined) {
    if (!needsSignature(policy)) return undefined;
    throw invalidArgument('only the answer to a request with an HTTP signature can be verified');
  }
  return verifyResponse({
    response: {
      status: response.statusCode ?? 0,
      fields: incomingFields(response),
      request: { method, target },
    },
    readBody: (maxBytes) => readBody(response, maxBytes),
    nonce,
    trust,
    policy,
    clock: policy.clock,
  });
}
