/** A Fastify plugin that lets authorized SPIFFE IDs pass, and tells handlers who it was as `request.spiffeId`. */
import { Readable } from 'node:stream';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { FastifyPluginCallback } from 'fastify';
import {
  authenticateRequest,
  type RequestAuthentication,
  type RequestIdentity,
} from '../http-auth/authenticate-request.js';
import { requestRefusal } from '../http-auth/request-refusal.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who sent the request; set by `spiffePlugin`, and undefined where it is not registered. */
    spiffeId?: SpiffeId;
    /** As `spiffeId`, with what they showed for it. */
    spiffeIdentity?: RequestIdentity;
  }
}

/**
 * Guards every route of the instance that it is registered on, and of those below. Refuses with 403, or with 401 where a Bearer token
 * would do and there is none that is right. A body that the signature of a WIT-SVID covers is verified before it is parsed.
 * @example
 * const app = Fastify({ serverFactory: (handler) => createHttpsServer(source, authorizeAny(), handler) });
 * await app.register(spiffePlugin, { authorizer: authorizeMemberOf('example.org') });
 * app.get('/', (request) => `hello ${request.spiffeId}`);
 */
export const spiffePlugin: FastifyPluginCallback<RequestAuthentication> = Object.assign(
  ((app, options, done) => {
    app.decorateRequest('spiffeId', undefined);
    app.decorateRequest('spiffeIdentity', undefined);
    app.addHook('onRequest', async (request, reply) => {
      try {
        const identity = await authenticateRequest(request.raw, options);
        request.spiffeId = identity.spiffeId;
        request.spiffeIdentity = identity;
        return undefined;
      } catch (error) {
        const refusal = requestRefusal(error, options);
        options.onRefusal?.(refusal.error);
        return reply.code(refusal.status).headers(refusal.headers).send(refusal.text);
      }
    });
    app.addHook('preParsing', (request, _reply, payload, next) => {
      const identity = request.spiffeIdentity;
      const body = identity?.by === 'wit_svid' ? identity.wit.body : undefined;
      next(
        null,
        body === undefined ? payload : Readable.from(body.length === 0 ? [] : [body], { objectMode: false }),
      );
    });
    done();
  }) satisfies FastifyPluginCallback<RequestAuthentication>,
  // Not a context of its own: the hooks are for the routes beside it.
  { [Symbol.for('skip-override')]: true, [Symbol.for('fastify.display-name')]: '@bonafide/sdk' },
);
