/** Answers that prove who gave them, and to which request (draft-ietf-wimse-http-signature-06 section 3.4). */
import type { ServerResponse } from 'node:http';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { fieldLines } from '../http-signature/http-message.js';
import { signResponse } from '../http-signature/sign-message.js';
import type { WitIdentity } from '../wit-source.js';
import type { VerifiedWitRequest } from './verify-wit-request.js';

/** The answer to sign. */
export interface SendSignedResponseOptions {
  /** Undefined for none. */
  readonly body?: string | Uint8Array | undefined;
  /** 60 unless told. */
  readonly lifetimeSeconds?: number | undefined;
  readonly clock?: Clock | undefined;
}

/**
 * Signs and sends a response of which the status and all other headers are set and nothing was sent.
 * @param peer whose request is answered: what `verifyWitRequest` returned.
 * @throws BonafideError `failed_precondition` or `permission_denied` without a valid SVID; the answer is then to be an error (status 501).
 */
export async function sendSignedResponse(
  source: WitIdentity,
  peer: Pick<VerifiedWitRequest, 'nonce'>,
  response: ServerResponse,
  options: SendSignedResponseOptions = {},
): Promise<void> {
  const { body, lifetimeSeconds, clock } = options;
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body;
  const { method = '', url = '' } = response.req;
  const message = {
    status: response.statusCode,
    fields: fieldLines(response.getHeaders()),
    request: { method, target: url },
  };
  const signing = { body: bytes, requestNonce: peer.nonce, lifetimeSeconds, clock };
  const { headers } = await signResponse(source.svid, message, signing);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(bytes);
}
