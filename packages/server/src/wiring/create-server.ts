/** Constructs the server stage by stage, as data flows through it; what was started is stopped in the reverse order. */
import { liveLog } from '@bonafide/shared/config/live-log';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { Shutdown } from '@bonafide/shared/runtime/shutdown';
import { checkSocketPath } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import { serveHealth } from '../api/health-listener.js';
import { HealthState } from '../api/health-state.js';
import type { ServerConfig } from '../configuration/server-config.js';
import { recentHistory } from '../sync/recent-history.js';
import { startAccess } from './access.js';
import { startDelivery } from './delivery.js';
import { createEndpoints } from './endpoints.js';
import { createFederation, startBundleEndpoint } from './federation.js';
import { createHandlers } from './handlers.js';
import { startAdmission } from './node-admission.js';
import { startNodeProving } from './node-proofs.js';
import { startPublishing } from './publishing.js';
import { startRegistry } from './registry.js';
import { startSigning } from './signing.js';
import { Metrics } from '../telemetry/metrics.js';
import type { ServerHost, Startup } from './startup.js';
import { openStorage } from './storage.js';
import { startAudit, startMetrics } from './telemetry.js';

export interface RunningServer {
  /** Of the TLS listener. */
  readonly port: number;
  /** Of the bundle endpoint, when there is one. */
  readonly bundleEndpointPort: number | undefined;
  /** Resolves once the signal has fired and the server has stopped. */
  run(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Resolves when the server is serving. What was started before a failure is stopped again.
 * @throws BonafideError saying what could not be opened, bound or read.
 */
export async function createServer(config: ServerConfig, host: ServerHost): Promise<RunningServer> {
  const shutdown = new Shutdown();
  try {
    return await startServer({ config, ...host, shutdown, background: new AbortController() });
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function startServer(startup: Startup): Promise<RunningServer> {
  const { config, log, shutdown, background } = startup;
  checkSocketPath(config.server.socket_path);
  addLiveLog(startup);
  const metrics = new Metrics(startup.clock);
  const storage = await openStorage(startup, { metrics });
  const telemetry = await startAudit(startup, storage, metrics);
  shutdown.add(() => {
    background.abort();
  });
  const signing = await startSigning(startup, storage, telemetry);
  const history = await recentHistory({ ...storage, trustDomain: config.server.trust_domain });
  // In the same turn, so that nothing comes between what is remembered and what is told of from now on.
  const delivery = startDelivery(startup, storage, history, telemetry);
  const registry = startRegistry(startup, storage, signing, delivery, history, telemetry);
  const proving = await startNodeProving(startup, storage, telemetry, registry);
  const admission = startAdmission(startup, storage, telemetry, proving.attestors);
  startPublishing(startup, storage, telemetry);
  const federation = createFederation(startup, storage, telemetry);
  const health = new HealthState({
    connection: storage.store.connection,
    authorities: signing.authorities,
    clock: startup.clock,
  });
  health.start(background.signal);
  const probes = await serveHealth(config.health_checks, { health, log });
  shutdown.add(() => probes?.close());
  const access = await startAccess(startup, storage);
  const handlers = createHandlers(startup, {
    access,
    storage,
    signing,
    registry,
    delivery,
    federation,
    health,
    telemetry,
    proving,
    admission,
  });
  const endpoints = await createEndpoints(startup, {
    access,
    storage,
    signing,
    registry,
    proving,
    telemetry,
    handlers,
  });

  await startMetrics(startup, telemetry, { storage, signing, registry, federation, peers: endpoints.peers });
  const port = await endpoints.listenForAgents();
  const bundleEndpointPort = await startBundleEndpoint(startup, storage, signing);
  await federation.refresh.start();
  await endpoints.listenForOperators();
  await telemetry.tell('server_started', { details: { port } });
  health.set(true);
  shutdown.add(() => registry.watchStreams.drain(config.server.drain_spread * 1000));
  shutdown.add(() => {
    health.set(false);
    log.info('Stopping Server APIs');
    return telemetry.tell('server_stopping');
  });
  return { port, bundleEndpointPort, ...stoppable(shutdown, log) };
}

function addLiveLog({ config, live, log }: Startup): void {
  const settings = ({ server: { log_level: level, log_file: file } }: ServerConfig) => ({ level, file });
  live?.add(liveLog(log, config, settings, { level: 'server.log_level', file: 'server.log_file' }));
}

function stoppable(shutdown: Shutdown, log: Logger): Pick<RunningServer, 'run' | 'stop'> {
  const stop = async (): Promise<void> => {
    await shutdown.run();
    log.info('Server APIs have stopped');
  };
  const run = async (signal: AbortSignal): Promise<void> => {
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => {
        resolve();
      });
    });
    await stop();
  };
  return { run, stop };
}
