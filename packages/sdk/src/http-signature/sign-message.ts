/** Signs HTTP messages with the key of a WIT-SVID (RFC 9421 as profiled by draft-ietf-wimse-http-signature-06 section 3). */
import { randomBytes } from 'node:crypto';
import { signJwsAs } from '@bonafide/shared/crypto/jws-algorithm';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import type { WitSvid } from '@bonafide/shared/svid/wit-svid';
import { confirmationAlgorithmOf } from '../wit/confirmation-algorithm.js';
import { WIT_HEADER } from '../wit/headers.js';
import { DEFAULT_LIFETIME_SECONDS } from '../wit/proof-limits.js';
import { contentDigest, DIGEST_HEADER } from './content-digest.js';
import { requiredComponents, SIGNATURE_LABEL, SIGNATURE_TAG } from './covered-components.js';
import type { FieldLines, SignedMessage, SignedRequest, SignedResponse } from './http-message.js';
import { signatureBase } from './signature-base.js';
import { serializeDictionary, type BareItem, type InnerList } from './structured-field.js';

/** How an answer is signed. */
export interface SignOptions {
  /** Empty or undefined: the message has none. */
  readonly body?: Uint8Array | undefined;
  /** 60 unless told. */
  readonly lifetimeSeconds?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** How a request is signed. */
export interface SignRequestOptions extends SignOptions {
  /** The request's URI without query and fragment, or what the recipient agreed to be called. */
  readonly audience: string;
  /** The recipient must sign its answer, or refuse. */
  readonly wantsSignedResponse?: boolean | undefined;
}

/** Headers to be added to the message, by lower-case name. */
export interface SignatureHeaders {
  readonly headers: Readonly<Record<string, string>>;
  /** Names the message; an answer's `wimse-req-nonce`. */
  readonly nonce: string;
}

/** @param request its headers, without those that are added. @throws BonafideError `failed_precondition` when the SVID has expired; `invalid_argument`. */
export function signRequest(
  svid: WitSvid,
  request: SignedRequest,
  options: SignRequestOptions,
): Promise<SignatureHeaders> {
  const { audience, wantsSignedResponse = false } = options;
  if (audience === '') throw invalidArgument('the audience of a signature is empty');
  const more: [string, BareItem][] = [['wimse-aud', audience]];
  if (wantsSignedResponse) more.push(['wimse-sign-response', true]);
  return sign(svid, request, more, options);
}

/** @param options with the nonce of the request's signature; undefined when it had none. @throws BonafideError as `signRequest`. */
export function signResponse(
  svid: WitSvid,
  response: SignedResponse,
  options: SignOptions & { readonly requestNonce: string | undefined },
): Promise<SignatureHeaders> {
  const { requestNonce } = options;
  return sign(svid, response, requestNonce === undefined ? [] : [['wimse-req-nonce', requestNonce]], options);
}

async function sign(
  svid: WitSvid,
  message: SignedMessage,
  more: readonly [string, BareItem][],
  { body, lifetimeSeconds = DEFAULT_LIFETIME_SECONDS, clock = systemClock }: SignOptions,
): Promise<SignatureHeaders> {
  if (!(lifetimeSeconds > 0))
    throw invalidArgument('the lifetime of a signature must be more than 0 seconds');
  const now = clock.now();
  const algorithm = confirmationAlgorithmOf(svid, now);
  const added: Record<string, string> = { [WIT_HEADER]: svid.token };
  if (body !== undefined && body.length > 0) added[DIGEST_HEADER] = contentDigest(body);
  const fields: FieldLines = (name) => {
    const own = added[name];
    return own === undefined ? message.fields(name) : [own];
  };
  const nonce = randomBytes(16).toString('base64url');
  const created = unixSeconds(now);
  const input: InnerList = {
    items: requiredComponents({ ...message, fields }),
    // Section 3: neither `keyid` nor `alg`, for the WIT-SVID says both.
    parameters: new Map<string, BareItem>([
      ['created', created],
      ['expires', created + Math.ceil(lifetimeSeconds)],
      ['nonce', nonce],
      ['tag', SIGNATURE_TAG],
      ...more,
    ]),
  };
  const value = await signJwsAs(algorithm, svid.privateKey, signatureBase({ ...message, fields }, input));
  return {
    nonce,
    headers: {
      ...added,
      'signature-input': serializeDictionary(new Map([[SIGNATURE_LABEL, input]])),
      signature: serializeDictionary(new Map([[SIGNATURE_LABEL, { value, parameters: new Map() }]])),
    },
  };
}
