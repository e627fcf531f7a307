/** One gRPC server behind both listeners: every served service, each call authorized by the same table. */
import { Server, ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js';
import type { Socket } from 'node:net';
import { loadService, type Handlers } from '@bonafide/shared/rpc/load-service';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Peer } from '../access/peer.js';
import { allowedCallers, SERVED_SERVICES, type ServedService } from '../access/rpc-callers.js';
import type { ConnectedPeers } from './connected-peers.js';

/** A handler for every method of every service. */
export type ApiHandlers = { readonly [Service in ServedService]: Handlers<Service> };

export interface ApiServerOptions {
  readonly handlers: ApiHandlers;
  readonly peers: ConnectedPeers;
  /** The outermost: sees every call, and what its caller is told. */
  readonly telemetry: ServerInterceptor;
  readonly authorization: ServerInterceptor;
  /** Inside the authorization: holds answers until the audit log has them. */
  readonly auditing: ServerInterceptor;
  readonly clock: Clock;
  /** How often a silent connection is asked whether it is there, and how long it may take to answer. */
  readonly keepalive?: { readonly everyMs: number; readonly timeoutMs: number };
}

const MEBIBYTE = 1024 * 1024;

const CHANNEL_OPTIONS = {
  'grpc.enable_channelz': 0,
  // Requests; the largest honest one is a batch of entries. Answers are as large as what was asked for.
  'grpc.max_receive_message_length': 4 * MEBIBYTE,
  'grpc.max_send_message_length': -1,
  'grpc.max_concurrent_streams': 256, // of one connection
  'grpc.max_connection_idle_ms': 300_000, // without a call, and for one that never says a word
};

/**
 * For a peer whose kernel answers and whose program does not; one that is gone the kernel notices (see tls-listener.ts). A thousand agents
 * that are asked every 20 seconds cost more than all that they are told.
 */
const KEEPALIVE = { everyMs: 600_000, timeoutMs: 10_000 };

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #injector: ReturnType<Server['createConnectionInjector']>;

  constructor(options: ApiServerOptions) {
    this.#options = options;
    const { everyMs, timeoutMs } = options.keepalive ?? KEEPALIVE;
    this.#server = new Server({
      ...CHANNEL_OPTIONS,
      'grpc.keepalive_time_ms': everyMs,
      'grpc.keepalive_timeout_ms': timeoutMs,
      interceptors: [options.telemetry, options.authorization, options.auditing],
    });
    for (const name of SERVED_SERVICES) {
      const { definition } = loadService(name);
      for (const { path } of Object.values(definition)) allowedCallers(path); // throws for one that the table misses
      this.#server.addService(definition, options.handlers[name]);
    }
    // The listeners have seen to TLS, or to who is at the other end of a Unix socket.
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  /** Serves calls on a connection whose other end is `peer`. */
  readonly serve = (socket: Socket, peer: Peer): void => {
    this.#options.peers.admit(socket, peer);
    this.#injector.injectConnection(socket);
  };

  /** Lets calls in progress finish for as long as `graceMs`, then cuts them. @returns whether all finished. */
  async shutDown(graceMs: number): Promise<boolean> {
    const isDrained = await Promise.race([
      new Promise<boolean>((resolve) => {
        this.#server.tryShutdown(() => {
          resolve(true);
        });
      }),
      sleep(this.#options.clock, graceMs).then(() => false),
    ]);
    this.#server.forceShutdown();
    return isDrained;
  }
}
