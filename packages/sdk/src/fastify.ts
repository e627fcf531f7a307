/** `@bonafide/sdk/fastify`: a plugin for Fastify. */
export { spiffePlugin } from './fastify/spiffe-plugin.js';
export type {
  AuthenticatedRequest,
  JwtAuthentication,
  RequestAuthentication,
  RequestIdentity,
} from './http-auth/authenticate-request.js';
