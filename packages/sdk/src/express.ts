/** `@bonafide/sdk/express`: middleware for Express, and for Connect and whatever else takes its middleware. */
export {
  requireSpiffeId,
  requestSpiffeId,
  type SpiffeMiddleware,
  type SpiffeRequest,
} from './express/require-spiffe-id.js';
export type {
  AuthenticatedRequest,
  JwtAuthentication,
  RequestAuthentication,
  RequestIdentity,
} from './http-auth/authenticate-request.js';
