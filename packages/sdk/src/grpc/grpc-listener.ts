/**
 * Mutual TLS for servers of @grpc/grpc-js. ServerCredentials leave no room to verify a chain before calls are served, so the listener
 * is ours: a connection reaches the gRPC server once its client has been verified.
 */
import type { AddressInfo, ListenOptions, Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import { ServerCredentials, type Server, type ServerUnaryCall } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, sleep } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Authorizer } from '../tls/authorizer.js';
import { createTlsServer } from '../tls/create-servers.js';
import { spiffeIdOfCertificate } from '../tls/peer-spiffe-id.js';
import type { ServerIdentity } from '../tls/server-identity.js';

/** Stands before a gRPC server. */
export interface GrpcListener extends AsyncDisposable {
  /** The TLS server in front, for its events: 'tlsClientError' tells of refused clients. */
  readonly tlsServer: TlsServer;
  /** @throws BonafideError `unavailable` when the address cannot be listened on. */
  listen(options: Pick<ListenOptions, 'host' | 'port' | 'path' | 'backlog'>): Promise<AddressInfo>;
  /** Accepts no more, lets calls in flight finish for `graceMs` (5 seconds unless told), then cuts what is left. */
  close(graceMs?: number): Promise<void>;
}

/**
 * @example
 * const server = new Server();
 * server.addService(GreeterService, handlers);
 * const listener = createGrpcListener(server, source, authorizeMemberOf('example.org'));
 * await listener.listen({ port: 8443 });
 */
export function createGrpcListener(
  server: Server,
  source: ServerIdentity,
  authorizer: Authorizer,
): GrpcListener {
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const sockets = new Set<Socket>();
  const options = { ALPNProtocols: ['h2'] };
  const tlsServer = createTlsServer(
    source,
    authorizer,
    (socket) => {
      socket.on('error', () => undefined); // the HTTP/2 session sees it, and ends the calls
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
      injector.injectConnection(socket);
    },
    options,
  );

  const close = async (graceMs = 5_000): Promise<void> => {
    const stopped = new Promise<void>((resolve) => {
      tlsServer.close(() => {
        resolve();
      });
    });
    injector.drain(graceMs);
    const cut = new AbortController();
    const deadline = sleep(systemClock, graceMs, cut.signal).then(
      () => {
        for (const socket of sockets) socket.destroy();
      },
      () => undefined, // all connections ended before the deadline
    );
    await stopped;
    cut.abort();
    await deadline;
  };
  return {
    tlsServer,
    listen: (listenOptions) =>
      new Promise((resolve, reject) => {
        const fail = (cause: Error): void => {
          reject(new BonafideError('unavailable', `cannot listen: ${cause.message}`, { cause }));
        };
        tlsServer.once('error', fail);
        tlsServer.listen(listenOptions, () => {
          tlsServer.off('error', fail);
          resolve(tlsServer.address() as AddressInfo);
        });
      }),
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** A call on either side; `getAuthContext` is part of every one of @grpc/grpc-js. */
export interface AuthenticatedCall {
  /** What is known of the connection that the call travels on. */
  getAuthContext(): AuthContext | null;
}

type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

/**
 * Who is at the other end. For handlers and interceptors of a server behind `createGrpcListener`: who calls. For clients with
 * `grpcChannelCredentials`: who answers, once the call has its first metadata or message. Undefined for a call that came in any other way,
 * or whose connection has ended.
 * @example
 * const call = client.greet({ name: 'x' }, (error, reply) => console.log(grpcPeerSpiffeId(call), reply));
 */
export function grpcPeerSpiffeId(call: AuthenticatedCall): SpiffeId | undefined {
  const certificate = call.getAuthContext()?.sslPeerCertificate;
  return certificate === undefined ? undefined : spiffeIdOfCertificate(certificate);
}
