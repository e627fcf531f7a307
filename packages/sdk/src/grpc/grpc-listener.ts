/**
 * Mutual TLS for servers of @grpc/grpc-js. ServerCredentials leave no room to verify a chain before calls are served, so the listener
 * is ours: a connection reaches the gRPC server once its client has been verified.
 */
import type { AddressInfo, ListenOptions, Socket } from 'node:net';
import type { Server as TlsServer } from 'node:tls';
import {
  ServerCredentials,
  type Server,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { systemClock, sleep } from '@bonafide/shared/runtime/clock';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Authorizer } from '../tls/authorizer.js';
import { createTlsServer } from '../tls/create-servers.js';
import { spiffeIdOfCertificate } from '../tls/peer-spiffe-id.js';
import type { X509Identity } from '../x509-source.js';

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
  source: X509Identity,
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

type AnyServerCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerReadableStream<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

/**
 * Who calls: for handlers of a gRPC server behind `createGrpcListener`. Undefined for a call that came in any other way, or whose
 * connection has ended.
 */
export function grpcPeerSpiffeId(call: Pick<AnyServerCall, 'getAuthContext'>): SpiffeId | undefined {
  const certificate = call.getAuthContext().sslPeerCertificate;
  return certificate === undefined ? undefined : spiffeIdOfCertificate(certificate);
}
