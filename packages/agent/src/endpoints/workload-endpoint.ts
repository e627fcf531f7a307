/** The SPIFFE Workload Endpoint: one Unix socket that serves the Workload API and health to every process of the node. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { sleep } from '@bonafide/shared/runtime/clock';
import { WorkloadApi, type WorkloadApiOptions } from '../workload-api/workload-api.js';
import { endpointLimits, type EndpointLimits } from './endpoint-limits.js';
import { addHealthService } from './health.js';
import { createPeerInterceptor } from './peer-interceptor.js';
import { PeerListener } from './peer-listener.js';

export interface WorkloadEndpointOptions extends Omit<WorkloadApiOptions, 'maxStreamsPerUid'> {
  /** Absolute, at most 107 bytes. */
  readonly socketPath: string;
  /** A listening socket that was handed to this process, to be used instead of the path, see `inheritedSocket`. */
  readonly inheritedFd?: number | undefined;
  readonly limits?: Partial<EndpointLimits> | undefined;
}

export interface WorkloadEndpoint {
  /**
   * Resolves once clients can connect; to be called once.
   * @throws BonafideError `invalid_argument`, `failed_precondition` or `unavailable` when the socket cannot be had.
   */
  listen(): Promise<void>;
  /** Takes no more connections, ends every stream with UNAVAILABLE, and cuts what is still open after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** What a request of this API can need, with room for a large JWT. */
const MAX_REQUEST_BYTES = 256 * 1024;
/** A connection on which no call is open, or that never spoke, is closed; clients open it again when they need it. */
const IDLE_CONNECTION_MS = 300_000;
/** Between the end of the streams and that of their connections: a client that hears of both at once may lose the reason. */
const FAREWELL_MS = 50;

export function createWorkloadEndpoint(options: WorkloadEndpointOptions): WorkloadEndpoint {
  const { socketPath, inheritedFd, clock, log } = options;
  const limits = endpointLimits(options.limits);
  const stopping = new AbortController();

  const listener = new PeerListener({
    serve: (socket) => {
      injector.injectConnection(socket);
    },
    limits,
    clock,
    log,
  });
  const server = new Server({
    interceptors: [createPeerInterceptor((connectionId) => listener.peer(connectionId))],
    'grpc.max_concurrent_streams': limits.maxStreamsPerConnection,
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    'grpc.max_connection_idle_ms': IDLE_CONNECTION_MS,
    'grpc.enable_channelz': 0,
  });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const workloadApi = new WorkloadApi({ ...options, maxStreamsPerUid: limits.maxStreamsPerUid });
  workloadApi.addTo(server);
  addHealthService(server, { log, stopping: stopping.signal });

  return {
    async listen() {
      await listener.listen(inheritedFd === undefined ? { path: socketPath } : { fd: inheritedFd });
      log.info({ path: socketPath }, 'serving the Workload API');
    },
    async close(graceMs) {
      listener.stopAccepting();
      stopping.abort();
      workloadApi.endStreams();
      await sleep(clock, Math.min(FAREWELL_MS, graceMs));
      await new Promise<void>((resolve) => {
        const timer = clock.schedule(graceMs, resolve);
        server.tryShutdown(() => {
          timer.cancel();
          resolve();
        });
      });
      server.forceShutdown();
      listener.destroyConnections(); // those that never sent a preface, and sessions that grpc forgets
    },
  };
}
