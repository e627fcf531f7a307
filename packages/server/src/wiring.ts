/** Constructs the server: every part, given the parts it needs, started in order and stopped in the reverse of it. */
import { join } from 'node:path';
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { DistinguishedName } from '@bonafide/shared/crypto/der/distinguished-name';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { Shutdown } from '@bonafide/shared/runtime/shutdown';
import { checkSocketPath } from '@bonafide/shared/unix-socket/listen-on-unix-socket';
import { AgentCalls } from './access/agent-calls.js';
import { createAuthorization } from './access/authorize.js';
import { CallerIdentification } from './access/identify-caller.js';
import { RateLimits } from './access/rate-limits.js';
import { verifyPeer } from './access/verify-peer.js';
import { createAgentHandlers } from './api/agent.js';
import { createBundleHandlers } from './api/bundle.js';
import { createDebugHandlers } from './api/debug.js';
import { createEntryHandlers } from './api/entry.js';
import { createHealthHandlers, HealthState } from './api/health.js';
import { createLocalAuthorityHandlers } from './api/local-authority.js';
import { createLoggerHandlers } from './api/logger.js';
import { createSvidHandlers } from './api/svid.js';
import { DEFAULT_WIT_SVID_TTL_SECONDS } from './api/svid/wit-svids.js';
import { createSyncHandlers } from './api/sync.js';
import { createTrustDomainHandlers } from './api/trust-domain.js';
import { AuthorityRotation } from './authority/authority-rotation.js';
import { DiskKeyManager } from './authority/disk-key-manager.js';
import type { KeyManager } from './authority/key-manager.js';
import { MemoryKeyManager } from './authority/memory-key-manager.js';
import { ServerSvid } from './authority/server-svid.js';
import { createUpstreamAuthority } from './authority/upstream/upstream-authorities.js';
import { configuredRelationships } from './configuration/federation-config.js';
import type { ServerConfig } from './configuration/server-config.js';
import { AdminListener, prepareSocketFolder } from './endpoints/admin-listener.js';
import { ApiServer } from './endpoints/api-server.js';
import { ConnectedPeers } from './endpoints/connected-peers.js';
import { TlsListener } from './endpoints/tls-listener.js';
import { JwtSvidIssuance } from './issuance/issue-jwt-svid.js';
import { WitSvidIssuance } from './issuance/issue-wit-svid.js';
import { BundleEndpoint } from './federation/bundle-endpoint.js';
import { BundleRefresh } from './federation/bundle-refresh.js';
import { createEndpointCertificate } from './federation/endpoint-certificate.js';
import { FederationRelationships } from './federation/relationships.js';
import { X509SvidIssuance } from './issuance/issue-x509-svid.js';
import { AttestedAgents } from './node-attestation/attested-agents.js';
import { createNodeAttestors } from './node-attestation/attestors.js';
import { pruneExpiredEntries } from './registration/prune-expired-entries.js';
import { Registration } from './registration/registration.js';
import { openStore } from './store/open-store.js';
import { EntryGraph } from './entry-graph/entry-graph.js';
import { WatchStreams } from './sync/watch-streams.js';
import { FederatedBundles } from './trust-bundle/federated-bundles.js';
import { OwnBundle } from './trust-bundle/own-bundle.js';
import { createBundlePublishers } from './trust-bundle/publish/bundle-publishers.js';
import { publishBundle } from './trust-bundle/publish/publish-bundle.js';
import { TokenAuthorityPublication } from './trust-bundle/publish-token-authority.js';

export interface ServerHost {
  readonly clock: Clock;
  /** Its level is what the logger service reads and changes. */
  readonly log: Logger;
}

export interface RunningServer {
  /** Of the TLS listener. */
  readonly port: number;
  /** Of the bundle endpoint, when there is one. */
  readonly bundleEndpointPort: number | undefined;
  /** Resolves once the signal has fired and the server has stopped. */
  run(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

const SHUTDOWN_GRACE_MS = 10_000;
const LARGEST_BATCH = 500;
const ADMIN_CONNECTIONS = 1000;

/**
 * Resolves when the server is serving. What was started before a failure is stopped again.
 * @throws BonafideError saying what could not be opened, bound or read.
 */
export async function createServer(config: ServerConfig, host: ServerHost): Promise<RunningServer> {
  const shutdown = new Shutdown();
  try {
    return await startServer(config, host, shutdown);
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

async function startServer(
  config: ServerConfig,
  { clock, log }: ServerHost,
  shutdown: Shutdown,
): Promise<RunningServer> {
  const { server, plugins } = config;
  const trustDomain = server.trust_domain;
  const background = new AbortController();

  checkSocketPath(server.socket_path);
  await prepareDataFolder('data_dir', server.data_dir);
  const store = await openStore({ path: databasePath(config), log });
  shutdown.add(() => store.close());
  const graph = await EntryGraph.load({ store, trustDomain, clock, log });
  shutdown.add(() => {
    graph.stop();
  });
  shutdown.add(() => {
    background.abort();
  });

  const upstream = await createUpstreamAuthority(plugins.UpstreamAuthority, {
    trustDomain,
    clock,
    log,
    environment: process.env,
  });
  const authorities = new AuthorityRotation({
    trustDomain,
    store,
    keyManager: await openKeyManager(config),
    clock,
    log,
    keyTypes: {
      x509: server.ca_key_type,
      jwt: server.jwt_key_type ?? server.ca_key_type,
      wit: server.experimental.wit_key_type ?? server.ca_key_type,
    },
    ttlSeconds: server.ca_ttl,
    subject: authoritySubject(server.ca_subject),
    upstream,
  });
  await authorities.start(background.signal);
  const issuer = new X509SvidIssuance({ trustDomain, authorities, clock });
  // With a window of its own, for it signs inside transactions, which must not queue behind a storm of workload SVIDs.
  const agentIssuer = new X509SvidIssuance({ trustDomain, authorities, clock });
  const serverSvid = new ServerSvid({
    trustDomain,
    rotation: authorities,
    issuer: agentIssuer,
    clock,
    log,
    ttlSeconds: server.default_x509_svid_ttl,
  });
  await serverSvid.start(background.signal);

  warnOfCutSvids(server, log);
  const agentTtlSeconds = server.agent_ttl ?? server.default_x509_svid_ttl;
  const agents = new AttestedAgents({ store, issuer: agentIssuer, agentTtlSeconds });
  const registration = new Registration({ store, trustDomain, clock });
  const pruning = pruneExpiredEntries({ registration, expiries: graph, clock, log }, background.signal);
  shutdown.add(() => {
    background.abort();
    return pruning;
  });
  const publishing = publishBundle(
    {
      publishers: createBundlePublishers(plugins.BundlePublisher),
      ownBundle: () => graph.bundle(trustDomain),
      subscribe: (listener) => graph.subscribe(listener),
      clock,
      log,
    },
    background.signal,
  );
  shutdown.add(() => {
    background.abort();
    return publishing;
  });
  const watchStreams = new WatchStreams({ graph, logId: store.logId, trustDomain, clock, log });
  const federatedBundles = new FederatedBundles({ store, trustDomain });
  const relationships = new FederationRelationships({
    store,
    trustDomain,
    configured: configuredRelationships(server.federation),
  });
  const bundleRefresh = new BundleRefresh({
    relationships,
    store,
    federatedBundles,
    heldBundle: (name) => graph.bundle(name),
    clock,
    log,
  });
  shutdown.add(() => bundleRefresh.stop());
  const rateLimits = createRateLimits(server, clock);
  const adminIds = new Set(server.admin_ids);
  const health = new HealthState();
  const peers = new ConnectedPeers();
  const agentCalls = new AgentCalls(graph);
  graph.subscribe(({ resets }) => {
    agentCalls.check(resets);
  });
  const admin = new AdminListener({
    socketPath: server.socket_path,
    maximumConnections: ADMIN_CONNECTIONS,
    onConnection: (socket, peer) => {
      api.serve(socket, peer);
    },
    log,
  });
  const tls = new TlsListener({
    address: server.bind_address,
    port: server.bind_port,
    identity: serverSvid.current(),
    maximumConnections: server.max_connections,
    verifyClient: (chain) =>
      verifyPeer(chain, clock.now(), { trustDomain, adminIds, bundle: (name) => graph.bundle(name) }),
    onConnection: (socket, peer) => {
      api.serve(socket, peer);
    },
    clock,
    log,
  });
  const api = new ApiServer({
    peers,
    clock,
    authorization: createAuthorization({
      findPeer: (key) => peers.find(key),
      cutConnection: (key) => {
        peers.cut(key);
      },
      agentCalls,
      identification: new CallerIdentification({
        directory: graph,
        activateRenewedSvid: (agentId, serialNumber) => agents.activateRenewedSvid(agentId, serialNumber),
        adminIds,
        localAdminUids: await prepareSocketFolder(server.socket_path),
        clock,
      }),
      clock,
      log,
    }),
    handlers: {
      'spire.api.server.agent.v1.Agent': createAgentHandlers({
        trustDomain,
        attestors: createNodeAttestors(plugins.NodeAttestor, { trustDomain, clock, log }),
        issuer: agentIssuer,
        store,
        agentTtlSeconds,
        clock,
        agents,
        rateLimits,
      }),
      'spire.api.server.bundle.v1.Bundle': createBundleHandlers({
        trustDomain,
        store,
        graph,
        ownBundle: new OwnBundle({ store, trustDomain }),
        federatedBundles,
        publication: new TokenAuthorityPublication({ trustDomain, store, clock, upstream }),
        rateLimits,
      }),
      'spire.api.server.debug.v1.Debug': createDebugHandlers({
        graph,
        serverChain: () => [...serverSvid.current().certificateChain, authorities.activeX509().certificate],
        clock,
      }),
      'spire.api.server.entry.v1.Entry': createEntryHandlers({ trustDomain, registration, graph }),
      'spire.api.server.localauthority.v1.LocalAuthority': createLocalAuthorityHandlers(authorities),
      'spire.api.server.logger.v1.Logger': createLoggerHandlers(log),
      'spire.api.server.svid.v1.SVID': createSvidHandlers({
        trustDomain,
        graph,
        issuers: {
          x509: issuer,
          jwt: new JwtSvidIssuance({ trustDomain, authorities, clock, issuer: server.jwt_issuer }),
          wit: new WitSvidIssuance({ trustDomain, authorities, clock }),
        },
        rateLimits,
        authorities,
        clock,
        defaultAuthorityTtlSeconds: server.ca_ttl,
        defaultTtlSeconds: { x509: server.default_x509_svid_ttl, jwt: server.default_jwt_svid_ttl },
        largestBatch: Math.max(LARGEST_BATCH, server.ratelimit.signing_per_second),
      }),
      'spire.api.server.trustdomain.v1.TrustDomain': createTrustDomainHandlers({
        relationships,
        refresh: bundleRefresh,
      }),
      'bonafide.sync.v1.Sync': createSyncHandlers({ watchStreams, agents }),
      'grpc.health.v1.Health': createHealthHandlers(health),
    },
  });
  shutdown.add(() => {
    tls.destroyConnections();
    admin.destroyConnections();
  });
  shutdown.add(async () => {
    if (!(await api.shutDown(SHUTDOWN_GRACE_MS))) log.warn('cut calls that did not finish in time');
  });
  shutdown.add(() => {
    watchStreams.stop(); // they never end by themselves
  });

  serverSvid.onUpdate((svid) => {
    tls.update(svid);
  });
  const port = await tls.listen();
  shutdown.add(() => {
    tls.stopAccepting();
  });
  log.info({ network: 'tcp', address: `${server.bind_address}:${port}` }, 'Starting Server APIs');
  const bundleEndpointPort = await startBundleEndpoint(server.federation, {
    bundle: () => graph.bundle(trustDomain),
    serverSvid,
    dataFolder: server.data_dir,
    signal: background.signal,
    shutdown,
    clock,
    log,
  });
  await bundleRefresh.start();
  await admin.listen();
  shutdown.add(() => {
    admin.stopAccepting();
  });
  log.info({ network: 'unix', address: server.socket_path }, 'Starting Server APIs');
  health.set(true);
  shutdown.add(() => {
    health.set(false);
    log.info('Stopping Server APIs');
  });
  return { port, bundleEndpointPort, ...stoppable(shutdown, log) };
}

interface BundleEndpointParts extends ServerHost {
  readonly bundle: () => TrustBundle | undefined;
  readonly serverSvid: ServerSvid;
  readonly dataFolder: string;
  readonly signal: AbortSignal;
  readonly shutdown: Shutdown;
}

/** @returns its port; undefined when none is configured. */
async function startBundleEndpoint(
  { bundle_endpoint: config }: ServerConfig['server']['federation'],
  { bundle, serverSvid, dataFolder, signal, shutdown, clock, log }: BundleEndpointParts,
): Promise<number | undefined> {
  if (config === undefined) return undefined;
  const { address, refresh_hint: refreshHintSeconds, profile } = config;
  const certificate = createEndpointCertificate(profile, { serverSvid, dataFolder, clock, log });
  await certificate.start(signal);
  const endpoint = new BundleEndpoint({
    address,
    port: config.port,
    refreshHintSeconds,
    certificate,
    bundle,
    log,
  });
  const port = await endpoint.listen();
  shutdown.add(() => {
    endpoint.stop();
  });
  log.info({ address: `${address}:${port}`, refresh_hint: refreshHintSeconds }, 'Serving bundle endpoint');
  return port;
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

function databasePath({ server, plugins }: ServerConfig): string {
  return plugins.DataStore.sql.connection_string ?? join(server.data_dir, 'datastore.sqlite3');
}

async function openKeyManager({ server, plugins }: ServerConfig): Promise<KeyManager> {
  const { disk, memory } = plugins.KeyManager;
  if (memory !== undefined) return new MemoryKeyManager();
  return DiskKeyManager.open(disk?.keys_path ?? join(server.data_dir, 'keys.json'));
}

function authoritySubject(subject: ServerConfig['server']['ca_subject']): DistinguishedName | undefined {
  if (subject === undefined) return undefined;
  const { country, organization, common_name: commonName } = subject;
  return { country, organization, commonName: commonName || undefined };
}

function createRateLimits(
  { ratelimit, trusted_proxies: trustedProxies }: ServerConfig['server'],
  clock: Clock,
): RateLimits {
  return new RateLimits({
    clock,
    perSecond: {
      attestation: ratelimit.attestation ? ratelimit.attestation_per_second : undefined,
      signing: ratelimit.signing ? ratelimit.signing_per_second : undefined,
      status: ratelimit.status_per_second,
    },
    trustedProxies,
  });
}

/** An authority signs until a sixth of its life is left, and nothing that it signs outlives it. */
function warnOfCutSvids(server: ServerConfig['server'], log: Logger): void {
  const longestSeconds = server.ca_ttl / 6;
  for (const name of ['default_x509_svid_ttl', 'default_jwt_svid_ttl', 'agent_ttl'] as const) {
    if ((server[name] ?? 0) <= longestSeconds) continue;
    log.warn(
      `${name} is more than a sixth of ca_ttl: SVIDs signed late in an authority's life are cut short`,
    );
  }
  if (DEFAULT_WIT_SVID_TTL_SECONDS > longestSeconds) {
    log.warn(
      "the hour that WIT-SVIDs live is more than a sixth of ca_ttl: those signed late in an authority's life are cut short",
    );
  }
}
