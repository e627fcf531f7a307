/** What the server tells of itself to an operator who looks for a fault. */
import { Snapshots } from '@bonafide/shared/snapshot/snapshots';
import { programVersion } from '@bonafide/shared/runtime/program-version';
import type { HealthState } from '../api/health-state.js';
import type { Delivery } from './delivery.js';
import type { Registry } from './registry.js';
import type { Signing } from './signing.js';
import type { Startup } from './startup.js';
import type { Storage } from './storage.js';
import type { Telemetry } from './telemetry.js';

interface SnapshotParts {
  readonly storage: Storage;
  readonly signing: Signing;
  readonly registry: Registry;
  readonly delivery: Delivery;
  readonly health: HealthState;
  readonly telemetry: Telemetry;
}

export function createSnapshots({ config, clock, live, log }: Startup, parts: SnapshotParts): Snapshots {
  return new Snapshots({
    program: 'bonafide-server',
    version: programVersion(),
    config: () => live?.current ?? config,
    health: () => parts.health.checks(),
    counts: () => countsOf(parts),
    metrics: parts.telemetry.metrics.registry,
    dataFolder: config.server.data_dir,
    ...{ log, clock },
  });
}

function countsOf({
  delivery,
  registry,
  signing,
  storage,
}: SnapshotParts): Readonly<Record<string, unknown>> {
  const { graph, store } = storage;
  const { watchStreams } = registry;
  return {
    ...graph.size,
    revision: graph.revision,
    datastore: store.connection.state.kind,
    svids_waiting_to_be_signed: signing.waiting(),
    authorities: signing.authorities.slots().length,
    watch_streams: watchStreams.size,
    watch_cursors: cursors(
      [...watchStreams.openAgents()].map((agentId) => delivery.agents.stateOf(agentId).appliedRevision),
      graph.revision,
    ),
    agents_heard_of: delivery.agents.size,
  };
}

/** How far the agents that listen here are. @param applied by each of them. */
function cursors(applied: readonly number[], revision: number): Readonly<Record<string, number | undefined>> {
  let oldest: number | undefined;
  let behind = 0;
  for (const held of applied) {
    if (oldest === undefined || held < oldest) oldest = held;
    if (held < revision) behind += 1;
  }
  return { oldest, behind };
}
