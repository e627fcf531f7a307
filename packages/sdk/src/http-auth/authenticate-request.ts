/** Who sent an HTTP request, by the one credential that it came with: a WIT-SVID with its proof, a JWT-SVID, or the TLS connection. */
import type { Socket } from 'node:net';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { VerifiedJwtSvid } from '@bonafide/shared/jwt/verify-jwt-svid';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Authorizer } from '../tls/authorizer.js';
import { peerSpiffeId } from '../tls/peer-spiffe-id.js';
import { verifyJwtSvid, type JwtTrust, type JwtVerifyOptions } from '../verify-jwt-svid.js';
import { checkAuthorized } from '../wit-http/check-authorized.js';
import { incomingFields } from '../wit-http/incoming-fields.js';
import {
  verifyWitRequest,
  type IncomingRequest,
  type VerifiedWitRequest,
  type VerifyWitRequestOptions,
} from '../wit-http/verify-wit-request.js';
import { WIT_HEADER } from '../wit/headers.js';
import { bearerToken } from './bearer-token.js';

/** Which credentials are accepted, and of whom. */
export interface RequestAuthentication {
  /** Who may ask, however they prove who they are. */
  readonly authorizer: Authorizer;
  /** Accepts JWT-SVIDs in the header `Authorization: Bearer`; undefined: that header is not looked at. */
  readonly jwt?: JwtAuthentication | undefined;
  /** Accepts WIT-SVIDs with a proof; undefined: those headers are not looked at. */
  readonly wit?: Omit<VerifyWitRequestOptions, 'authorizer'> | undefined;
  /** Told of each refusal and why, for the log; the client learns no more than the status. */
  readonly onRefusal?: ((error: BonafideError) => void) | undefined;
}

/** How JWT-SVIDs are verified. */
export interface JwtAuthentication extends JwtVerifyOptions {
  /** A `JwtSource` or a `BundleSource`. */
  readonly trust: JwtTrust;
  /** As which this server is addressed; it must be among the token's. */
  readonly audience: string;
}

/** Who sent a request, and what they showed for it. */
export type RequestIdentity =
  | { readonly by: 'x509_svid'; readonly spiffeId: SpiffeId }
  | { readonly by: 'jwt_svid'; readonly spiffeId: SpiffeId; readonly jwt: VerifiedJwtSvid }
  | { readonly by: 'wit_svid'; readonly spiffeId: SpiffeId; readonly wit: VerifiedWitRequest };

/** What is needed of a request: one of node:http, node:https or node:http2. */
export interface AuthenticatedRequest extends IncomingRequest {
  readonly socket: Socket;
}

/**
 * A token that is presented counts before the connection, and one that is wrong is refused: it never falls back to the connection.
 * @throws BonafideError `invalid_argument` or `unauthenticated` when it is not known who asks; `permission_denied` when it is, and
 * they may not; another reason when it cannot be told at the moment.
 */
export async function authenticateRequest(
  request: AuthenticatedRequest,
  { authorizer, jwt, wit }: RequestAuthentication,
): Promise<RequestIdentity> {
  const fields = incomingFields(request);
  if (wit !== undefined && fields(WIT_HEADER) !== undefined) {
    const verified = await verifyWitRequest(request, { ...wit, authorizer });
    return { by: 'wit_svid', spiffeId: verified.spiffeId, wit: verified };
  }
  const credentials = fields('authorization');
  if (jwt !== undefined && credentials !== undefined) {
    const verified = await verifyJwtSvid(jwt.trust, bearerToken(credentials), jwt.audience, jwt);
    checkAuthorized(authorizer, verified.spiffeId);
    return { by: 'jwt_svid', spiffeId: verified.spiffeId, jwt: verified };
  }
  const spiffeId = peerSpiffeId(request.socket);
  if (spiffeId === undefined) {
    throw new BonafideError(
      'unauthenticated',
      `the request shows no identity; accepted: ${accepted({ jwt, wit })}`,
    );
  }
  checkAuthorized(authorizer, spiffeId);
  return { by: 'x509_svid', spiffeId };
}

function accepted({ jwt, wit }: Pick<RequestAuthentication, 'jwt' | 'wit'>): string {
  const ways = ['an X.509-SVID'];
  if (jwt !== undefined) ways.push('a JWT-SVID as Bearer token');
  if (wit !== undefined) ways.push('a WIT-SVID with a proof');
  return ways.join(', ');
}
