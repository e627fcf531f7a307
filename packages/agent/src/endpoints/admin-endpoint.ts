/**
 * The agent's admin socket, apart from the Workload API. What it serves is given to it, and is for the agent's owner alone, save what is
 * for delegates: whoever else may open the socket reaches nothing but that, and is attested there.
 */
import { Server, ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { OWNER_ALONE } from './admin-socket-access.js';
import { createPeerInterceptor, type CallCheck } from './peer-interceptor.js';
import { PeerListener, type SocketAccess } from './peer-listener.js';
import type { Peer } from './peer.js';
import type { ConnectionRefusal } from '../telemetry/agent-metrics.js';

export interface AdminEndpointOptions {
  readonly socketPath: string;
  /** Each adds its service, for the owner alone. */
  readonly services: readonly ((server: Server) => void)[];
  /** Undefined: there is nothing for anybody but the owner. */
  readonly delegation?: DelegatedService | undefined;
  /** Besides who calls; for example whether what is called is switched on. */
  readonly checks?: readonly CallCheck[];
  /** Whom the socket serves besides root; the user the agent runs as unless told. */
  readonly ownerUid?: number;
  /** For the owner alone unless told. */
  readonly access?: SocketAccess;
  /** Sees every call, and what its caller is told. */
  readonly telemetry?: ServerInterceptor | undefined;
  readonly onRefusedConnection?: ((why: ConnectionRefusal) => void) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A service whose callers are attested by itself, on each call. */
interface DelegatedService {
  /** For example `spire.api.agent.delegatedidentity.v1.DelegatedIdentity`. */
  readonly name: string;
  addTo(server: Server): void;
  /** Ends every open stream with UNAVAILABLE. */
  endStreams(): void;
}

const MOST_CONNECTIONS_PER_USER = 64;
/** Of all users together; each may have as many as above. */
const MOST_CONNECTIONS_OF_DELEGATES = 512;
const MOST_STREAMS_PER_CONNECTION = 10_000;
const MAX_REQUEST_BYTES = 64 * 1024;
const IDLE_CONNECTION_MS = 300_000;

export class AdminEndpoint {
  readonly #options: AdminEndpointOptions;
  readonly #listener: PeerListener;
  readonly #server: Server;

  constructor(options: AdminEndpointOptions) {
    this.#options = options;
    const { checks = [], clock, delegation, log, services } = options;
    this.#listener = new PeerListener({
      serve: (socket) => {
        injector.injectConnection(socket);
      },
      admits: ({ uid }) => delegation !== undefined || this.#isOwner(uid),
      limits: {
        maxConnections: delegation === undefined ? MOST_CONNECTIONS_PER_USER : MOST_CONNECTIONS_OF_DELEGATES,
        maxConnectionsPerUid: MOST_CONNECTIONS_PER_USER,
      },
      onRefused: options.onRefusedConnection,
      clock,
      log,
    });
    this.#server = new Server({
      interceptors: [
        ...(options.telemetry === undefined ? [] : [options.telemetry]),
        createPeerInterceptor(
          (connectionId) => this.#listener.peer(connectionId),
          [({ path, peer }) => this.#checkCaller(path, peer), ...checks],
        ),
      ],
      'grpc.max_concurrent_streams': MOST_STREAMS_PER_CONNECTION,
      'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
      'grpc.max_connection_idle_ms': IDLE_CONNECTION_MS,
      'grpc.enable_channelz': 0,
    });
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    for (const add of services) add(this.#server);
    delegation?.addTo(this.#server);
  }

  /** @throws BonafideError as `listenOnUnixSocket`. */
  async listen(): Promise<void> {
    const { socketPath: path, access = OWNER_ALONE, log } = this.#options;
    await this.#listener.listen({ path, access });
    log.info({ network: 'unix', address: path }, 'Starting Admin APIs');
  }

  close(): void {
    this.#listener.stopAccepting();
    this.#options.delegation?.endStreams();
    this.#server.forceShutdown();
    this.#listener.destroyConnections();
  }

  #isOwner(uid: number): boolean {
    return uid === 0 || uid === (this.#options.ownerUid ?? process.geteuid?.());
  }

  #checkCaller(path: string, peer: Peer | undefined): BonafideError | undefined {
    if (peer === undefined) return new BonafideError('unavailable', 'the connection has ended');
    const { delegation } = this.#options;
    if (delegation !== undefined && path.startsWith(`/${delegation.name}/`)) return undefined;
    if (this.#isOwner(peer.credentials.uid)) return undefined;
    return new BonafideError(
      'permission_denied',
      `user ${peer.credentials.uid} is not the owner of this agent; only root and the user it runs as may call this`,
    );
  }
}
