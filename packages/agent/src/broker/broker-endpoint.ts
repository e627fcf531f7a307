/** The SPIFFE Broker Endpoint: one gRPC server behind a Unix socket, a TCP port or both. */
import { Server, ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Timer } from '@bonafide/shared/runtime/clock';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { Socket } from 'node:net';
import { BrokerApi, type BrokerApiOptions } from './broker-api.js';
import { createBrokerInterceptor } from './broker-interceptor.js';
import { BrokerListener, type BrokerAddress, type BrokerListenerOptions } from './broker-listener.js';
import { BrokerPeer } from './broker-peer.js';

export interface BrokerEndpointOptions extends BrokerApiOptions, Pick<BrokerListenerOptions, 'identity'> {
  readonly addresses: readonly BrokerAddress[];
  readonly bundle: (trustDomain: TrustDomain) => TrustBundle | undefined;
  /** Sees every call, and what its caller is told. */
  readonly telemetry?: ServerInterceptor | undefined;
}

interface Connection {
  readonly socket: Socket;
  readonly peer: BrokerPeer;
}

const MAX_REQUEST_BYTES = 64 * 1024;
const MOST_STREAMS_PER_CONNECTION = 10_000;
const IDLE_CONNECTION_MS = 300_000;
/** How long a connection may outlive what vouches for its broker. */
const REVIEW_MS = 1_000;
/** Between the end of the streams and that of their connection: a client that hears of both at once may lose the reason. */
const FAREWELL_MS = 50;

export class BrokerEndpoint {
  readonly #options: BrokerEndpointOptions;
  readonly #api: BrokerApi;
  readonly #server: Server;
  readonly #injector: ReturnType<Server['createConnectionInjector']>;
  readonly #listeners: readonly BrokerListener[];
  readonly #connections = new Map<string, Connection>();
  #sequence = 0;
  #review: Timer | undefined;

  constructor(options: BrokerEndpointOptions) {
    this.#options = options;
    this.#api = new BrokerApi(options);
    this.#server = new Server({
      interceptors: [
        ...(options.telemetry === undefined ? [] : [options.telemetry]),
        createBrokerInterceptor((id) => (id === undefined ? undefined : this.#connections.get(id)?.peer)),
      ],
      'grpc.max_concurrent_streams': MOST_STREAMS_PER_CONNECTION,
      'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
      'grpc.max_connection_idle_ms': IDLE_CONNECTION_MS,
      'grpc.enable_channelz': 0,
    });
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure()); // the listeners see to TLS
    this.#api.addTo(this.#server);
    this.#listeners = options.addresses.map(
      (address) =>
        new BrokerListener({
          ...options,
          address,
          accept: (socket, chain, isTcp) => {
            this.#accept(
              socket,
              new BrokerPeer({ chain, isTcp, bundle: options.bundle, clock: options.clock }),
            );
          },
        }),
    );
  }

  /** @returns the TCP ports. @throws BonafideError as `BrokerListener`. */
  async listen(): Promise<readonly number[]> {
    const ports: number[] = [];
    for (const listener of this.#listeners) {
      const port = await listener.listen();
      if (port !== undefined) ports.push(port);
    }
    return ports;
  }

  close(): void {
    for (const listener of this.#listeners) listener.stopAccepting();
    this.#api.endStreams();
    this.#server.forceShutdown();
    for (const { socket } of this.#connections.values()) socket.destroy();
    this.#review?.cancel();
  }

  #accept(socket: Socket, peer: BrokerPeer): void {
    const id = `broker:${(this.#sequence += 1)}`;
    this.#connections.set(id, { socket, peer });
    socket.once('close', () => this.#connections.delete(id));
    Object.defineProperty(socket, 'remoteAddress', { value: id });
    Object.defineProperty(socket, 'remotePort', { value: undefined });
    this.#review ??= this.#scheduleReview();
    this.#injector.injectConnection(socket);
  }

  #scheduleReview(): Timer {
    const { clock } = this.#options;
    return clock.schedule(REVIEW_MS, () => {
      for (const { peer, socket } of this.#connections.values()) {
        try {
          peer.check();
        } catch (error) {
          peer.end(
            hasReason(error, 'unauthenticated')
              ? error
              : new BonafideError('unauthenticated', 'the broker cannot be verified', { cause: error }),
          );
          clock.schedule(FAREWELL_MS, () => socket.destroy());
        }
      }
      this.#review = this.#connections.size > 0 ? this.#scheduleReview() : undefined;
    });
  }
}
