/** Other trust domains: what is known of them, what is asked of them, and the endpoint where they ask us. */
import { configuredRelationships } from '../configuration/federation-config.js';
import { BundleEndpoint } from '../federation/bundle-endpoint.js';
import { BundleRefresh } from '../federation/bundle-refresh.js';
import { createEndpointCertificate } from '../federation/endpoint-certificate.js';
import { FederationRelationships } from '../federation/relationships.js';
import { FederatedBundles } from '../trust-bundle/federated-bundles.js';
import type { Signing } from './signing.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

export interface Federation {
  readonly bundles: FederatedBundles;
  readonly relationships: FederationRelationships;
  /** Asks nobody before it is started. */
  readonly refresh: BundleRefresh;
}

export function createFederation(
  { config: { server }, clock, live, log, shutdown }: Startup,
  { store, graph }: Storage,
  { metrics, tell }: Telemetry,
): Federation {
  const trustDomain = server.trust_domain;
  const bundles = new FederatedBundles({ store, trustDomain, held: (name) => graph.bundle(name) });
  const relationships = new FederationRelationships({
    store,
    trustDomain,
    configured: configuredRelationships(server.federation),
  });
  const refresh = new BundleRefresh({
    relationships,
    store,
    federatedBundles: bundles,
    heldBundle: (name) => graph.bundle(name),
    tell,
    onAttempt: metrics.upkeep.federationRefreshed.bind(metrics.upkeep),
    clock,
    log,
  });
  shutdown.add(() => refresh.stop());
  live?.add({
    name: 'federation relationships',
    keys: ['server.federation.federates_with'],
    prepare: (next) => {
      const configured = configuredRelationships(next.server.federation);
      return () => {
        relationships.configure(configured);
        refresh.followSoon();
      };
    },
  });
  return { bundles, relationships, refresh };
}

/** @returns its port; undefined when none is configured. */
export async function startBundleEndpoint(
  { config: { server }, clock, live, log, shutdown, background }: Startup,
  { graph }: Storage,
  { serverSvid }: Signing,
): Promise<number | undefined> {
  if (server.federation.bundle_endpoint === undefined) return undefined;
  const {
    address,
    port: wishedPort,
    refresh_hint: refreshHintSeconds,
    profile,
  } = server.federation.bundle_endpoint;
  const certificate = createEndpointCertificate(profile, {
    serverSvid,
    dataFolder: server.data_dir,
    clock,
    log,
  });
  await certificate.start(background.signal);
  live?.add({
    name: 'certificate of the bundle endpoint',
    keys: [],
    prepare: () => certificate.prepareReload?.() ?? (() => undefined),
  });
  const endpoint = new BundleEndpoint({
    address,
    port: wishedPort,
    refreshHintSeconds,
    certificate,
    bundle: () => graph.bundle(server.trust_domain),
    log,
  });
  const port = await endpoint.listen();
  shutdown.add(() => {
    endpoint.stop();
  });
  log.info({ address: `${address}:${port}`, refresh_hint: refreshHintSeconds }, 'Serving bundle endpoint');
  return port;
}
