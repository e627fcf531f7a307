/** Constructs the provider: its source of keys, its certificate and its listeners, started in order and stopped in the reverse of it. */
import { once } from 'node:events';
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LiveConfig } from '@bonafide/shared/config/live-config';
import { liveLog } from '@bonafide/shared/config/live-log';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { registerBuildInfo } from '@bonafide/shared/telemetry/build-info';
import { countReloads } from '@bonafide/shared/telemetry/reload-metrics';
import { serveMetrics } from '@bonafide/shared/telemetry/serve-metrics';
import { OpenConnections } from '@bonafide/shared/http/open-connections';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { Shutdown } from '@bonafide/shared/runtime/shutdown';
import { AcmeCertificate } from '@bonafide/shared/serving-certificate/acme/acme-certificate';
import { CertificateFiles } from '@bonafide/shared/serving-certificate/certificate-files';
import type { ServingCertificate } from '@bonafide/shared/serving-certificate/serving-certificate';
import { createServingHttpsServer } from '@bonafide/shared/serving-certificate/serving-https-server';
import { listenOnUnixSocket } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import type { OidcConfig } from './configuration/oidc-config.js';
import type { SocketAddress } from './configuration/socket-address.js';
import { PublishedKeys } from './documents/published-keys.js';
import { createDocumentsHandler } from './endpoints/documents-handler.js';
import { createHealthHandler, healthToleranceMs } from './endpoints/health-handler.js';
import { readKeysFromFile } from './key-source/bundle-file.js';
import type { KeySource } from './key-source/key-source.js';
import { PolledKeys } from './key-source/polled-keys.js';
import { createServerKeys } from './key-source/server-keys.js';
import { WorkloadApiKeys } from './key-source/workload-api-keys.js';
import { OidcMetrics } from './telemetry/oidc-metrics.js';

export interface ProviderHost {
  readonly clock: Clock;
  readonly log: Logger;
  /** Undefined: what is configured stays until the provider ends. */
  readonly live?: LiveConfig<OidcConfig> | undefined;
}

export interface RunningProvider {
  /** Of the TCP listener, undefined on a Unix socket. */
  readonly port: number | undefined;
  readonly healthPort: number | undefined;
  /** Resolves once the signal has fired and the provider has stopped. */
  run(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

const REQUEST_LIMIT_MS = 10_000;
const LARGEST_HEADERS_BYTES = 16 * 1024;
const MOST_CONNECTIONS = 10_000;
/** Whoever may reach the folder may ask: a proxy runs as somebody else. */
const SOCKET_MODE = 0o777;

/** Resolves when it serves, whether or not the keys are there yet. @throws BonafideError saying what could not be opened or bound. */
export async function startProvider(config: OidcConfig, host: ProviderHost): Promise<RunningProvider> {
  const shutdown = new Shutdown();
  try {
    return await start(config, host, shutdown);
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function start(
  config: OidcConfig,
  { clock, log, live }: ProviderHost,
  shutdown: Shutdown,
): Promise<RunningProvider> {
  const logSettings = ({ log_level: level, log_path: file }: OidcConfig) => ({ level, file });
  live?.add(liveLog(log, config, logSettings, { level: 'log_level', file: 'log_path' }));
  const background = new AbortController();
  shutdown.add(() => {
    background.abort();
  });
  if (config.allow_insecure_scheme) {
    log.warn('allow_insecure_scheme: documents may name http; only where the way to the provider is trusted');
  }
  const keys = new PublishedKeys({ setKeyUse: config.set_key_use, clock, log });
  const metrics = new OidcMetrics(clock);
  metrics.observe(keys);
  registerBuildInfo(metrics.registry, 'bonafide-oidc');
  countReloads(metrics.registry, live);
  const source = openSource(config, clock, shutdown);
  void source.follow(metrics.meterKeys(keys), background.signal);

  const handler = createDocumentsHandler({
    keys,
    discovery: {
      issuer: config.jwt_issuer,
      keysUrl: config.jwks_uri,
      pathPrefix: config.server_path_prefix.replace(/(?<=.)\/+$/, ''),
    },
    domains: new Set(config.domains),
    allowInsecureScheme: config.allow_insecure_scheme,
    logRequests: config.log_requests,
    clock,
    log,
  });
  const { registry } = metrics;
  const served = await serveMetrics({ config, registry, identity: undefined, live, clock, log });
  shutdown.add(() => served?.close());
  const metered = metrics.meterRequests(handler);
  const port = await serveDocuments(config, metered, {
    clock,
    live,
    log,
    shutdown,
    signal: background.signal,
  });
  const healthPort = await serveHealth(config, keys, { log, shutdown });
  return { port, healthPort, ...stoppable(shutdown) };
}

function openSource(config: OidcConfig, clock: Clock, shutdown: Shutdown): KeySource {
  const { server_api: server, workload_api: workload, file } = config;
  if (workload !== undefined) {
    const { socket_path: socketPath, trust_domain: trustDomain, poll_interval: pollSeconds } = workload;
    return new WorkloadApiKeys({ socketPath, trustDomain, pollSeconds, clock });
  }
  if (server !== undefined) {
    const { fetch, close } = createServerKeys(server.address);
    shutdown.add(close);
    return new PolledKeys({ fetch, pollSeconds: server.poll_interval, clock });
  }
  if (file === undefined) throw new BonafideError('internal', 'the configuration names no source of keys');
  return new PolledKeys({
    fetch: () => readKeysFromFile(file.path),
    pollSeconds: file.poll_interval,
    clock,
  });
}

interface ServingParts extends ProviderHost {
  readonly shutdown: Shutdown;
  readonly signal: AbortSignal;
}

async function serveDocuments(
  config: OidcConfig,
  handler: RequestListener,
  { clock, live, log, shutdown, signal }: ServingParts,
): Promise<number | undefined> {
  const { insecure_addr: insecure, listen_socket_path: socketPath } = config;
  if (socketPath !== undefined) {
    const server = createPlainServer(handler);
    const connections = new OpenConnections(server);
    const file = await listenOnUnixSocket(server, {
      path: socketPath,
      mode: SOCKET_MODE,
      occupied: 'refuse',
      log,
    });
    shutdown.add(() => closeServer(server, connections));
    shutdown.add(() => {
      file.remove();
    });
    log.info({ network: 'unix', address: socketPath }, 'Serving HTTP');
    return undefined;
  }
  if (insecure !== undefined) {
    const port = await listen(createPlainServer(handler), insecure, shutdown);
    log.warn({ port }, 'Serving HTTP (insecure)');
    return port;
  }
  const { certificate, address } = servingCertificate(config, { clock, log });
  const server = createServingHttpsServer({
    certificate,
    onRequest: handler,
    requestLimitMs: REQUEST_LIMIT_MS,
  });
  server.maxConnections = MOST_CONNECTIONS;
  await certificate.start(signal);
  live?.add({
    name: 'serving certificate',
    keys: [],
    prepare: () => certificate.prepareReload?.() ?? (() => undefined),
  });
  const port = await listen(server, address, shutdown);
  log.info({ port }, config.acme === undefined ? 'Serving HTTPS' : 'Serving HTTPS via ACME');
  return port;
}

function servingCertificate(
  { acme, serving_cert_file: files, domains }: OidcConfig,
  { clock, log }: ProviderHost,
): { readonly certificate: ServingCertificate; readonly address: SocketAddress } {
  if (files !== undefined) {
    const certificate = new CertificateFiles({
      certificatePath: files.cert_file_path,
      privateKeyPath: files.key_file_path,
      pollSeconds: files.file_sync_interval,
      clock,
      log,
    });
    return { certificate, address: files.addr };
  }
  if (acme === undefined) throw new BonafideError('internal', 'the configuration names no listener');
  const { directory_url: directoryUrl, email, cache_dir: folder, addr: address } = acme;
  const cacheFolder = folder === '' ? undefined : folder;
  return {
    certificate: new AcmeCertificate({ directoryUrl, email, domains, cacheFolder, clock, log }),
    address,
  };
}

async function serveHealth(
  { health_checks: health, server_api: server, workload_api: workload, file }: OidcConfig,
  keys: PublishedKeys,
  { log, shutdown }: Pick<ServingParts, 'log' | 'shutdown'>,
): Promise<number | undefined> {
  if (health === undefined) return undefined;
  const { bind_port: bindPort, ready_path: readyPath, live_path: livePath } = health;
  const toleranceMs = healthToleranceMs((server ?? workload ?? file)?.poll_interval ?? 0);
  const handler = createHealthHandler({ keys, readyPath, livePath, toleranceMs });
  const port = await listen(createPlainServer(handler), { host: undefined, port: bindPort }, shutdown);
  log.info({ port }, 'Serving health checks');
  return port;
}

function createPlainServer(handler: RequestListener): Server {
  const server = createHttpServer(
    {
      maxHeaderSize: LARGEST_HEADERS_BYTES,
      headersTimeout: REQUEST_LIMIT_MS,
      requestTimeout: REQUEST_LIMIT_MS,
    },
    handler,
  );
  server.maxConnections = MOST_CONNECTIONS;
  return server;
}

async function listen(server: Server, { host, port }: SocketAddress, shutdown: Shutdown): Promise<number> {
  const connections = new OpenConnections(server);
  try {
    const listening = once(server, 'listening');
    server.listen({ port, ...(host === undefined ? {} : { host }) });
    await listening;
  } catch (error) {
    throw new BonafideError('unavailable', `cannot listen on ${host ?? ''}:${port}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
  shutdown.add(() => closeServer(server, connections));
  return (server.address() as AddressInfo).port;
}

async function closeServer(server: Server, connections: OpenConnections): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  connections.destroyAll();
  await closed;
}

function stoppable(shutdown: Shutdown): Pick<RunningProvider, 'run' | 'stop'> {
  const stop = (): Promise<void> => shutdown.run();
  const run = async (signal: AbortSignal): Promise<void> => {
    if (!signal.aborted) await once(signal, 'abort');
    await stop();
  };
  return { run, stop };
}
