/** What a client believes of an answer (draft-ietf-wimse-http-signature-06 section 3.4): a signature that is there must be right. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { verifyWitSvid } from '@bonafide/shared/jwt/verify-wit-svid';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { checkContentDigest, DIGEST_HEADER } from '../http-signature/content-digest.js';
import type { SignedResponse } from '../http-signature/http-message.js';
import { hasSignature, verifyMessageSignature } from '../http-signature/verify-message.js';
import { authorizeAny, type Authorizer } from '../tls/authorizer.js';
import { WIT_HEADER } from '../wit/headers.js';
import type { ProofLimits } from '../wit/proof-limits.js';
import type { WitTrust } from '../wit-source.js';
import { only } from './bound-tokens.js';
import { checkAuthorized } from './check-authorized.js';

export interface ResponsePolicy extends ProofLimits {
  /** Whether an answer that is not signed is refused; only if there is an `authorizer` unless told. */
  readonly isRequired?: boolean | undefined;
  /** Who may answer; everybody whose WIT-SVID verifies unless told. It can judge signed answers alone. */
  readonly authorizer?: Authorizer | undefined;
  /** The largest signed body, which is held whole to be checked; 1 MiB unless told. */
  readonly maxBodyBytes?: number | undefined;
}

export const DEFAULT_MAX_BODY_BYTES = 1024 * 1024;

interface ResponseVerification {
  readonly response: SignedResponse;
  /** Called when the signature is right, and only for a signed response. */
  readonly readBody: (maxBytes: number) => Promise<Uint8Array>;
  /** Of the request's signature. */
  readonly nonce: string;
  readonly trust: WitTrust;
  readonly policy: ResponsePolicy;
  readonly clock?: Clock | undefined;
}

/** Who answered, and with which body. */
export interface VerifiedResponse {
  readonly spiffeId: SpiffeId;
  readonly body: Uint8Array;
}

/** Whoever says who may answer does not mean that anybody may who leaves the signature away. */
export function needsSignature({ isRequired, authorizer }: ResponsePolicy): boolean {
  return isRequired ?? authorizer !== undefined;
}

/** @returns undefined for a response that is not signed and need not be. @throws BonafideError `unauthenticated`, `permission_denied` or `invalid_argument`. */
export async function verifyResponse(
  verification: ResponseVerification,
): Promise<VerifiedResponse | undefined> {
  const { response, readBody, nonce, trust, policy, clock = systemClock } = verification;
  if (!hasSignature(response)) {
    if (!needsSignature(policy)) return undefined;
    throw new BonafideError('unauthenticated', 'the response is not signed, although that was asked for');
  }
  const now = clock.now();
  const token = only(response.fields, WIT_HEADER);
  if (token === undefined) throw invalidArgument(`the response is signed, but has no ${WIT_HEADER}`);
  const { leewaySeconds } = policy;
  const wit = await verifyWitSvid({ token, bundle: (name) => trust.bundles.get(name), now, leewaySeconds });
  await verifyMessageSignature({ ...policy, message: response, wit, requestNonce: nonce, now });
  checkAuthorized(policy.authorizer ?? authorizeAny(), wit.spiffeId);
  const body = await readBody(policy.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES);
  const digest = only(response.fields, DIGEST_HEADER);
  if (digest !== undefined) checkContentDigest(digest, body);
  else if (body.length > 0) throw invalidArgument('the response has a body, but no Content-Digest');
  return { spiffeId: wit.spiffeId, body };
}
