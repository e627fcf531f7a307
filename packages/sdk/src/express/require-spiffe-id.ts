/** Express middleware that lets authorized SPIFFE IDs pass, and tells handlers who it was as `request.spiffeId`. */
import type { ServerResponse } from 'node:http';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import {
  authenticateRequest,
  type AuthenticatedRequest,
  type RequestAuthentication,
  type RequestIdentity,
} from '../http-auth/authenticate-request.js';
import { requestRefusal } from '../http-auth/request-refusal.js';

declare global {
  // Where the types of Express have others add to a request; without them it is a namespace of nobody.
  namespace Express {
    interface Request {
      /** Who sent the request; set by `requireSpiffeId`, and undefined in handlers that it does not stand before. */
      spiffeId?: SpiffeId;
      /** As `spiffeId`, with what they showed for it. */
      spiffeIdentity?: RequestIdentity;
    }
  }
}

/** A request of Express, as far as the middleware looks at it. */
export interface SpiffeRequest extends AuthenticatedRequest {
  spiffeId?: SpiffeId;
  spiffeIdentity?: RequestIdentity;
  body?: unknown;
}

/** A handler for `app.use`. */
export type SpiffeMiddleware = (
  request: SpiffeRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Refuses with 403, or with 401 where a Bearer token would do and there is none that is right. It has to stand before what reads the body when WIT-SVIDs are
 * accepted: their signature covers it, and `request.body` then is a Buffer of what was verified.
 * @example
 * const app = express();
 * app.use(requireSpiffeId({ authorizer: authorizeMemberOf('example.org') }));
 * app.get('/', (request, response) => response.send(`hello ${request.spiffeId}`));
 * createHttpsServer(source, authorizeAny(), app).listen(8443);
 */
export function requireSpiffeId(options: RequestAuthentication): SpiffeMiddleware {
  return (request, response, next) => {
    authenticateRequest(request, options).then(
      (identity) => {
        request.spiffeId = identity.spiffeId;
        request.spiffeIdentity = identity;
        const body = identity.by === 'wit_svid' ? identity.wit.body : undefined;
        if (body !== undefined && body.length > 0) request.body = body;
        next();
      },
      (error: unknown) => {
        const refusal = requestRefusal(error, options);
        response.writeHead(refusal.status, refusal.headers).end(refusal.text);
        options.onRefusal?.(refusal.error);
      },
    );
  };
}

/**
 * The sender's SPIFFE ID where there must be one.
 * @throws BonafideError `internal` in a handler that `requireSpiffeId` does not stand before.
 */
export function requestSpiffeId({ spiffeId }: { readonly spiffeId?: SpiffeId | undefined }): SpiffeId {
  if (spiffeId !== undefined) return spiffeId;
  throw new BonafideError(
    'internal',
    'the request was not authenticated; requireSpiffeId has to stand before this handler',
  );
}
