/** What the agent says of itself to Prometheus, and where. */
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { registerBuildInfo } from '@bonafide/shared/telemetry/build-info';
import type { CurrentSvid, MetricsIdentity } from '@bonafide/shared/telemetry/metrics-tls';
import { countReloads } from '@bonafide/shared/telemetry/reload-metrics';
import { serveMetrics, type ServedMetrics } from '@bonafide/shared/telemetry/serve-metrics';
import type { AgentConfig } from '../configuration/agent-config.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import { observeAgent, type AgentSources } from '../telemetry/agent-gauges.js';
import type { AgentMetrics } from '../telemetry/agent-metrics.js';
import type { AgentSurroundings } from './run-agent.js';

interface ObservedAgent extends Omit<AgentSources, 'cache' | 'agentSvid'> {
  readonly config: AgentConfig;
  readonly metrics: AgentMetrics;
  readonly cache: SvidCache;
  readonly keeper: { readonly svid: X509Svid | undefined };
}

/** @returns undefined when the configuration asks for none. @throws BonafideError `failed_precondition` when it cannot be served. */
export function startMetrics(
  { live, clock, log }: AgentSurroundings,
  { config, metrics: { registry }, keeper, ...sources }: ObservedAgent,
): Promise<ServedMetrics | undefined> {
  const svid = (): X509Svid | undefined => keeper.svid;
  const { cache } = sources;
  registerBuildInfo(registry, 'bonafide-agent');
  countReloads(registry, live);
  observeAgent(registry, { ...sources, agentSvid: svid });
  const identity: MetricsIdentity = {
    svid,
    bundle: cache.bundle.bind(cache),
    ofEntry: (spiffeId, until) => svidOfEntry(cache, spiffeId, until),
  };
  return serveMetrics({ config, registry, identity, live, clock, log });
}

/** Whatever the selectors of the entry; of several the first with DNS names. Renewed like those that a process asks for. */
function svidOfEntry(cache: SvidCache, spiffeId: SpiffeId, signal: AbortSignal): CurrentSvid {
  let current: X509Svid | undefined;
  const subscription = cache.pick(
    (entry) => entry.spiffeId === spiffeId,
    ({ identities }) => {
      const chosen = identities.find(({ entry }) => entry.dnsNames.length > 0) ?? identities[0];
      current = chosen?.svid;
    },
  );
  signal.addEventListener(
    'abort',
    () => {
      subscription.close();
    },
    { once: true },
  );
  return () => current;
}
