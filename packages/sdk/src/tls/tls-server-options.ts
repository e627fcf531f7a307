/** The server's side of mutual TLS: each client is verified after its handshake and before anything it sent is handed over. */
import type { Server, TLSSocket } from 'node:tls';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { IDENTITY_EVENTS } from '../x509-source.js';
import type { Authorizer } from './authorizer.js';
import { markClient } from './peer-spiffe-id.js';
import { serverContextOptions, type WebCertificate } from './secure-context.js';
import type { ServerIdentity } from './server-identity.js';
import { presentedChain, verifyPeer } from './verify-peer.js';

const HANDSHAKE_TIMEOUT_MS = 10_000;

/** To be spread into the options of whatever constructs a TLS server. */
export interface TlsServerOptions {
  /** True unless the authorizer is `allowAnonymous()`. */
  readonly requestCert: boolean;
  /** OpenSSL can hold a client to one list of authorities, not to those of its own trust domain; `protect` does. */
  readonly rejectUnauthorized: false;
  /** Milliseconds. */
  readonly handshakeTimeout: number;
  /**
   * Has to be called with the server made of these options. Until then the server has no certificate, and every handshake fails.
   * Gives the server the source's SVID, now and at every update, without touching open connections; refuses each client whose
   * X.509-SVID does not verify or is not authorized. A refusal is told as the event 'tlsClientError'.
   * @returns the same server.
   */
  protect<S extends Server>(server: S): S;
}

/**
 * For a server of node:tls, node:https or node:http2 that somebody else constructs, for example a web framework; otherwise
 * `createTlsServer`, `createHttpsServer` and `createHttp2Server` do both steps.
 * @example
 * const options = tlsServerOptions(source, authorizeMemberOf('example.org'));
 * const server = options.protect(https.createServer(options, handler));
 */
export function tlsServerOptions(source: ServerIdentity, authorizer: Authorizer): TlsServerOptions {
  return {
    requestCert: authorizer.anonymous !== 'always',
    rejectUnauthorized: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    protect(server) {
      guardConnections(server, source, authorizer);
      followSource(server, source);
      return server;
    },
  };
}

/**
 * 'secureConnection' is where TLS, HTTPS and HTTP/2 servers take a socket over. It is emitted within the handshake, before anything
 * the client sent is decrypted for readers. Guarding the emission, rather than listening first, keeps a refused socket from every
 * listener, whenever it was added.
 */
function guardConnections(server: Server, source: ServerIdentity, authorizer: Authorizer): void {
  const emit = server.emit.bind(server) as (event: string | symbol, ...values: unknown[]) => boolean;
  server.emit = (event: string | symbol, ...values: unknown[]): boolean => {
    if (event !== 'secureConnection') return emit(event, ...values);
    const socket = values[0] as TLSSocket;
    const { anonymous = 'never' } = authorizer;
    if (anonymous === 'always') return emit(event, ...values);
    try {
      const chain = presentedChain(socket.getPeerX509Certificate());
      if (anonymous === 'allowed' && chain.length === 0) return emit(event, ...values);
      markClient(socket, verifyPeer({ chain, bundles: source.bundles, authorizer }));
    } catch (error) {
      socket.destroy();
      emit('tlsClientError', error instanceof Error ? error : new Error(errorMessage(error)), socket);
      return true;
    }
    // What OpenSSL would have said, had it been the one to ask.
    Object.assign(socket, { authorized: true, authorizationError: null });
    return emit(event, ...values);
  };
}

function followSource(server: Server, source: ServerIdentity): void {
  const update = (): void => {
    server.setSecureContext(serverContextOptions(whatToPresent(source)));
  };
  update();
  for (const event of IDENTITY_EVENTS) source.on(event, update);
  server.once('close', () => {
    for (const event of IDENTITY_EVENTS) source.off(event, update);
  });
}

/** Undefined while nothing is granted, and once the source is closed: then the server keeps its connections and makes no new ones. */
function whatToPresent(source: ServerIdentity): X509Svid | WebCertificate | undefined {
  if ('webCertificate' in source) return source.webCertificate;
  try {
    return source.svid;
  } catch {
    return undefined;
  }
}
