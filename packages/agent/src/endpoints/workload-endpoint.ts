/** The SPIFFE Workload Endpoint: one Unix socket that serves the Workload API, Envoy's SDS and health to every process of the node. */
import { Server, ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js';
import { sleep } from '@bonafide/shared/runtime/clock';
import { checkSwitches, type ApiSwitches } from '../apis/api-switches.js';
import type { SdsConfig } from '../sds/sds-config.js';
import { addSecretDiscovery } from '../sds/secret-discovery.js';
import { addSelfExplainService, type SelfExplainOptions } from '../workload-api/self-explain.js';
import type { ConnectionRefusal } from '../telemetry/agent-metrics.js';
import { WorkloadApi, type WorkloadApiOptions } from '../workload-api/workload-api.js';
import { endpointLimits, type EndpointLimits } from './endpoint-limits.js';
import { addHealthService } from './health.js';
import { createPeerInterceptor, requireSecurityHeader } from './peer-interceptor.js';
import { PeerListener } from './peer-listener.js';
import type { Peer } from './peer.js';

export interface WorkloadEndpointOptions extends Omit<WorkloadApiOptions, 'limits'> {
  /** Absolute, at most 107 bytes. */
  readonly socketPath: string;
  /** A listening socket that was handed to this process, to be used instead of the path, see `inheritedSocket`. */
  readonly inheritedFd?: number | undefined;
  /** Those of streams of one connection hold until the end, the others are looked at for each connection and call. */
  readonly limits?: EndpointLimits | undefined;
  /** All of them are on unless told. */
  readonly switches?: ApiSwitches | undefined;
  /** What the gRPC health service answers; always well unless told. */
  readonly isHealthy?: (() => boolean) | undefined;
  /** Of which the agent's owner is told more; plain data. */
  readonly healthChecks?: (() => unknown) | undefined;
  /** Undefined: Envoy's SDS is not served. */
  readonly sds?: SdsConfig | undefined;
  /** Undefined: processes cannot ask about themselves. */
  readonly selfExplain?: SelfExplainOptions | undefined;
  /** Sees every call, and what its caller is told. */
  readonly telemetry?: ServerInterceptor | undefined;
  readonly onRefusedConnection?: ((why: ConnectionRefusal) => void) | undefined;
}

export interface WorkloadEndpoint {
  /**
   * Resolves once clients can connect; to be called once.
   * @throws BonafideError `invalid_argument`, `failed_precondition` or `unavailable` when the socket cannot be had.
   */
  listen(): Promise<void>;
  /** Takes no more connections, ends every stream with UNAVAILABLE, and cuts what is still open after `graceMs`. */
  close(graceMs: number): Promise<void>;
  isServing(): boolean;
  /** Who is connected now, once for each connection. */
  peers(): Iterable<Peer>;
}

/** What SPIRE's log calls what is served here. */
const API_NAMES = 'Workload and SDS APIs';

/** What a request of these APIs can need, with room for a large JWT, or all that an Envoy tells of itself. */
const MAX_REQUEST_BYTES = 256 * 1024;
/** A connection on which no call is open, or that never spoke, is closed; clients open it again when they need it. */
const IDLE_CONNECTION_MS = 300_000;
/** Between the end of the streams and that of their connections: a client that hears of both at once may lose the reason. */
const FAREWELL_MS = 50;

export function createWorkloadEndpoint(options: WorkloadEndpointOptions): WorkloadEndpoint {
  const { socketPath, inheritedFd, clock, limits = endpointLimits(), log } = options;
  const stopping = new AbortController();

  const listener = new PeerListener({
    serve: (socket) => {
      injector.injectConnection(socket);
    },
    limits,
    onRefused: options.onRefusedConnection,
    clock,
    log,
  });
  const server = new Server({
    interceptors: [
      ...(options.telemetry === undefined ? [] : [options.telemetry]),
      createPeerInterceptor(
        (connectionId) => listener.peer(connectionId),
        [requireSecurityHeader, ...(options.switches === undefined ? [] : [checkSwitches(options.switches)])],
      ),
    ],
    'grpc.max_concurrent_streams': limits.maxStreamsPerConnection,
    'grpc.max_receive_message_length': MAX_REQUEST_BYTES,
    'grpc.max_connection_idle_ms': IDLE_CONNECTION_MS,
    'grpc.enable_channelz': 0,
  });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const workloadApi = new WorkloadApi({ ...options, limits });
  workloadApi.addTo(server);
  if (options.sds !== undefined) {
    addSecretDiscovery(server, { ...options, calls: workloadApi.calls, config: options.sds });
  }
  if (options.selfExplain !== undefined) {
    addSelfExplainService(server, workloadApi.calls, options.selfExplain);
  }
  const { isHealthy = () => true, healthChecks: checks } = options;
  addHealthService(server, { isHealthy, checks, clock, log, stopping: stopping.signal });
  let isServing = false;

  return {
    peers: () => listener.peers(),
    async listen() {
      await listener.listen(inheritedFd === undefined ? { path: socketPath } : { fd: inheritedFd });
      isServing = true;
      log.info({ apis: API_NAMES, network: 'unix', address: socketPath }, 'Starting agent APIs');
    },
    isServing: () => isServing,
    async close(graceMs) {
      if (isServing) log.info({ apis: API_NAMES }, 'Stopping agent APIs');
      isServing = false;
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
