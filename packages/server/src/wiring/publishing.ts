/** Our bundle, kept where the configuration says. */
import { createBundlePublishers } from '../trust-bundle/publish/bundle-publishers.js';
import { publishBundle } from '../trust-bundle/publish/publish-bundle.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

export function startPublishing(
  { config: { server, plugins }, clock, log, shutdown, background }: Startup,
  { graph }: Storage,
  { metrics }: Telemetry,
): void {
  const publishing = publishBundle(
    {
      publishers: createBundlePublishers(plugins.BundlePublisher),
      ownBundle: () => graph.bundle(server.trust_domain),
      subscribe: (listener) => graph.subscribe(listener),
      onAttempt: metrics.upkeep.bundlePublished.bind(metrics.upkeep),
      clock,
      log,
    },
    background.signal,
  );
  shutdown.add(() => {
    background.abort();
    return publishing;
  });
}
