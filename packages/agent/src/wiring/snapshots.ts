/** What the agent tells of itself to an operator who looks for a fault. */
import { resolve } from 'node:path';
import type { LiveConfig } from '@bonafide/shared/config/live-config';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { Snapshots } from '@bonafide/shared/snapshot/snapshots';
import type { AgentConfig } from '../configuration/agent-config.js';
import type { Peer } from '../endpoints/peer.js';
import type { AgentHealth } from '../health/agent-health.js';
import type { SvidCache } from '../svid-cache/svid-cache.js';
import type { AgentMetrics } from '../telemetry/agent-metrics.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import type { WitSvids } from '../token-svids/wit-svids.js';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import type { ExplainedAgent } from './explanations.js';

interface SnapshotParts {
  readonly config: AgentConfig;
  readonly live: LiveConfig<AgentConfig> | undefined;
  readonly health: AgentHealth;
  readonly cache: SvidCache;
  readonly jwtSvids: JwtSvids;
  readonly witSvids: WitSvids;
  readonly explained: Pick<ExplainedAgent, 'sync'>;
  /** To the Workload API. */
  readonly connections: () => Iterable<Peer>;
  readonly metrics: AgentMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

export function createSnapshots(parts: SnapshotParts): Snapshots {
  const { clock, config, health, live, log, metrics } = parts;
  return new Snapshots({
    program: 'bonafide-agent',
    version: programVersion(),
    config: () => live?.current ?? config,
    health: () => health.checks(),
    counts: () => countsOf(parts),
    metrics: metrics.registry,
    dataFolder: resolve(config.agent.data_dir),
    ...{ log, clock },
  });
}

function countsOf(parts: SnapshotParts): Readonly<Record<string, unknown>> {
  const { cache, connections, explained, jwtSvids, witSvids } = parts;
  const { isConnected, isWatching, lastSyncAt } = explained.sync;
  const holdings = cache.holdings();
  return {
    entries: holdings.length,
    entries_in_use: holdings.filter(({ isInUse }) => isInUse).length,
    entries_in_use_without_svid: holdings.filter(({ isInUse, svid }) => isInUse && svid === undefined).length,
    x509_svids: holdings.filter(({ svid }) => svid !== undefined).length,
    jwt_svids: jwtSvids.size,
    wit_svids: witSvids.entriesWithSvid(() => true).length,
    bundles: cache.bundles().length,
    workload_connections: [...connections()].length,
    server: { connected: isConnected, watching: isWatching, last_sync: lastSyncAt },
  };
}
