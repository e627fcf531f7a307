/** Authorization of gRPC calls one by one, where a listener that admits every member is too coarse, or callers show a JWT-SVID instead. */
import { ServerInterceptingCall, status, type Metadata, type ServerInterceptor } from '@grpc/grpc-js';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { JwtAuthentication, RequestIdentity } from '../http-auth/authenticate-request.js';
import { bearerToken } from '../http-auth/bearer-token.js';
import type { Authorizer } from '../tls/authorizer.js';
import { verifyJwtSvid } from '../verify-jwt-svid.js';
import { checkAuthorized } from '../wit-http/check-authorized.js';
import { grpcPeerSpiffeId, type AuthenticatedCall } from './grpc-listener.js';

/** What is accepted beside the SVID of the connection. */
export interface GrpcCallAuthentication {
  /** Accepts JWT-SVIDs in the metadata `authorization: Bearer`; undefined: they are not looked at. */
  readonly jwt?: JwtAuthentication | undefined;
  /** Told of each refusal and why, for the log. */
  readonly onRefusal?: ((error: BonafideError, method: string) => void) | undefined;
}

/** Who calls, and what they showed for it. */
export type GrpcCallIdentity = Exclude<RequestIdentity, { readonly by: 'wit_svid' }>;

/** Metadata goes from the interceptor to the handler as it is, and nobody else can put anything in here. */
const identities = new WeakMap<Metadata, GrpcCallIdentity>();

/**
 * A server interceptor: each call needs a caller that is known and that the method's authorizer allows, or ends with UNAUTHENTICATED
 * or PERMISSION_DENIED before a handler sees it. A token counts before the connection, and a wrong one is refused: it never falls
 * back to the connection.
 * @param authorizerOf given the method as `/package.Service/Method`; undefined refuses the call.
 * @example
 * const interceptors = [authorizeGrpcCalls((method) => (method === '/bank.Ledger/Read' ? authorizeMemberOf('example.org') : writers))];
 * const server = new Server({ interceptors });
 * @example
 * const jwt = { trust: bundleSource, audience: 'spiffe://example.org/ledger' };
 * const server = new Server({ interceptors: [authorizeGrpcCalls(authorizeMemberOf('example.org'), { jwt })] });
 */
export function authorizeGrpcCalls(
  authorizerOf: Authorizer | ((method: string) => Authorizer | undefined),
  { jwt, onRefusal }: GrpcCallAuthentication = {},
): ServerInterceptor {
  return ({ path }, call) => {
    const admit = async (metadata: Metadata): Promise<void> => {
      const authorizer = typeof authorizerOf === 'function' ? authorizerOf(path) : authorizerOf;
      const identity = await identify(call, metadata, jwt);
      if (authorizer === undefined) {
        throw new BonafideError('permission_denied', `nobody may call ${path}`);
      }
      checkAuthorized(authorizer, identity.spiffeId);
      identities.set(metadata, identity);
    };
    const refuse = (caught: unknown): void => {
      const error =
        caught instanceof BonafideError
          ? caught
          : new BonafideError('internal', errorMessage(caught), { cause: caught });
      call.sendStatus(refusalStatus(error));
      onRefusal?.(error, path);
    };
    return new ServerInterceptingCall(call, {
      start: (next) => {
        // Messages wait until the metadata has been passed on.
        next({
          onReceiveMetadata: (metadata, pass) => {
            admit(metadata).then(() => {
              pass(metadata);
            }, refuse);
          },
        });
      },
    });
  };
}

/**
 * Who calls, for handlers behind `authorizeGrpcCalls`.
 * @throws BonafideError `internal` in a handler that it does not stand before.
 * @example greet: (call, callback) => callback(null, { text: `hello ${grpcCallIdentity(call).spiffeId}` })
 */
export function grpcCallIdentity(call: { readonly metadata: Metadata }): GrpcCallIdentity {
  const identity = identities.get(call.metadata);
  if (identity !== undefined) return identity;
  throw new BonafideError(
    'internal',
    'the call was not authenticated; authorizeGrpcCalls has to be an interceptor of this server',
  );
}

async function identify(
  call: AuthenticatedCall,
  metadata: Metadata,
  jwt: JwtAuthentication | undefined,
): Promise<GrpcCallIdentity> {
  const credentials = metadata.get('authorization').map(String);
  if (jwt !== undefined && credentials.length > 0) {
    const verified = await verifyJwtSvid(jwt.trust, bearerToken(credentials), jwt.audience, jwt);
    return { by: 'jwt_svid', spiffeId: verified.spiffeId, jwt: verified };
  }
  const spiffeId = grpcPeerSpiffeId(call);
  if (spiffeId === undefined) throw new BonafideError('unauthenticated', 'the caller has shown no SVID');
  return { by: 'x509_svid', spiffeId };
}

function refusalStatus(error: BonafideError): { readonly code: status; readonly details: string } {
  const details = error.message;
  if (hasReason(error, 'invalid_argument', 'unauthenticated'))
    return { code: status.UNAUTHENTICATED, details };
  if (hasReason(error, 'permission_denied')) return { code: status.PERMISSION_DENIED, details };
  if (hasReason(error, 'unavailable', 'resource_exhausted')) return { code: status.UNAVAILABLE, details };
  return { code: status.INTERNAL, details: 'cannot tell who calls' };
}
