/** Servers of node:tls, node:https and node:http2 that only authorized SPIFFE IDs reach. */
import { createSecureServer, type Http2SecureServer, type SecureServerOptions } from 'node:http2';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { RequestListener } from 'node:http';
import {
  createServer as createNodeHttpsServer,
  type Server as HttpsServer,
  type ServerOptions,
} from 'node:https';
import { createServer as createNodeTlsServer, type Server, type TlsOptions, type TLSSocket } from 'node:tls';
import type { Authorizer } from './authorizer.js';
import type { ServerIdentity } from './server-identity.js';
import { tlsServerOptions } from './tls-server-options.js';

/** What the source decides cannot be given as an option. */
type Own<Options> = Omit<
  Options,
  | keyof ReturnType<typeof tlsServerOptions>
  | 'ca'
  | 'cert'
  | 'crl'
  | 'key'
  | 'pfx'
  | 'passphrase'
  | 'secureContext'
  | 'secureOptions'
  | 'SNICallback'
  | 'ticketKeys'
  | 'sessionTimeout'
>;

/** @example createTlsServer(source, authorizeAny(), (socket) => socket.end(`hello ${peerSpiffeId(socket)}`)).listen(8443); */
export function createTlsServer(
  source: ServerIdentity,
  authorizer: Authorizer,
  onConnection: (socket: TLSSocket) => void,
  options: Own<TlsOptions> = {},
): Server {
  const spiffe = tlsServerOptions(source, authorizer);
  return spiffe.protect(createNodeTlsServer({ ...options, ...spiffe }, onConnection));
}

/**
 * @example
 * const server = createHttpsServer(source, authorizeId('spiffe://example.org/web'), (request, response) => response.end('hello'));
 * server.listen(8443);
 */
export function createHttpsServer(
  source: ServerIdentity,
  authorizer: Authorizer,
  onRequest: RequestListener,
  options: Own<ServerOptions> = {},
): HttpsServer {
  const spiffe = tlsServerOptions(source, authorizer);
  return spiffe.protect(createNodeHttpsServer({ ...options, ...spiffe }, onRequest));
}

/** @example createHttp2Server(source, authorizeMemberOf('example.org'), (request, response) => response.end('hello')).listen(8443); */
export function createHttp2Server(
  source: ServerIdentity,
  authorizer: Authorizer,
  onRequest: (request: Http2ServerRequest, response: Http2ServerResponse) => void,
  options: Own<SecureServerOptions> = {},
): Http2SecureServer {
  const spiffe = tlsServerOptions(source, authorizer);
  return spiffe.protect(createSecureServer({ ...options, ...spiffe }, onRequest));
}
