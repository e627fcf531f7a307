/** How the agent stands at the moment of a scrape: what it holds for workloads, how long that lasts, and whether it hears its server. */
import type { MetricRegistry, Sample } from '@bonafide/shared/telemetry/metric-registry';

interface Ending {
  readonly notAfter: Date;
}

export interface AgentSources {
  readonly cache: {
    holdings(): readonly { readonly svid: Ending | undefined; readonly isInUse: boolean }[];
    bundles(): readonly unknown[];
  };
  readonly jwtSvids: { readonly size: number };
  readonly witSvids: { entriesWithSvid(condition: () => boolean): readonly string[] };
  readonly agentSvid: () => Ending | undefined;
  readonly sync: {
    readonly isConnected: boolean;
    readonly isWatching: boolean;
    readonly lastSyncAt: Date | undefined;
  };
  readonly isQuarantined: () => boolean;
  readonly connections: () => Iterable<unknown>;
}

const KINDS = ['x509', 'jwt', 'wit'] as const;
const SYNC_MODES = ['watch', 'poll'] as const;

export function observeAgent(registry: MetricRegistry, sources: AgentSources): void {
  const { cache, jwtSvids, witSvids, agentSvid, sync, isQuarantined, connections } = sources;
  const one = (name: string, help: string, read: () => number | undefined): void => {
    registry.gaugeOf(name, help, {}, () => {
      const value = read();
      return value === undefined ? [] : [[{}, value]];
    });
  };
  one(
    'bonafide_agent_entries',
    'Registration entries of workloads of this node',
    () => cache.holdings().length,
  );
  one(
    'bonafide_agent_entries_in_use',
    'Entries of which a process is being told now',
    () => cache.holdings().filter(({ isInUse }) => isInUse).length,
  );
  one(
    'bonafide_agent_entries_in_use_without_svid',
    'Entries of which a process waits for an X.509-SVID',
    () => cache.holdings().filter(({ isInUse, svid }) => isInUse && svid === undefined).length,
  );
  one('bonafide_agent_bundles', 'Trust bundles that are held', () => cache.bundles().length);
  registry.gaugeOf('bonafide_agent_svids', 'SVIDs of workloads that are held', { kind: KINDS }, () => {
    const held = cache.holdings().filter(({ svid }) => svid !== undefined).length;
    return [
      [{ kind: 'x509' }, held],
      [{ kind: 'jwt' }, jwtSvids.size],
      [{ kind: 'wit' }, witSvids.entriesWithSvid(() => true).length],
    ];
  });
  one(
    'bonafide_agent_svid_soonest_expiry_timestamp_seconds',
    'When the first of the X.509-SVIDs of workloads ends; absent while there is none',
    () => soonest(cache.holdings().map(({ svid }) => svid?.notAfter)),
  );
  one(
    'bonafide_agent_own_svid_expiry_timestamp_seconds',
    'When the SVID of the agent itself ends; absent before it has one',
    () => soonest([agentSvid()?.notAfter]),
  );
  one('bonafide_agent_connected', '1 while the agent hears its server', () => (sync.isConnected ? 1 : 0));
  one(
    'bonafide_agent_last_sync_timestamp_seconds',
    'When the agent last was in step with its server; absent before the first time',
    () => soonest([sync.lastSyncAt]),
  );
  registry.gaugeOf(
    'bonafide_agent_sync_mode',
    '1 for how the agent hears of changes: by a stream, or by asking every few seconds',
    { mode: SYNC_MODES },
    () =>
      SYNC_MODES.map((mode): Sample<{ mode: typeof SYNC_MODES }> => [
        { mode },
        sync.isConnected && sync.isWatching === (mode === 'watch') ? 1 : 0,
      ]),
  );
  one('bonafide_agent_quarantined', '1 while the server holds something against this node', () =>
    isQuarantined() ? 1 : 0,
  );
  one('bonafide_agent_workload_connections', 'Open connections to the Workload API', () =>
    count(connections()),
  );
}

function soonest(dates: readonly (Date | undefined)[]): number | undefined {
  let first: number | undefined;
  for (const date of dates) {
    if (date === undefined) continue;
    const seconds = date.getTime() / 1000;
    if (first === undefined || seconds < first) first = seconds;
  }
  return first;
}

function count(items: Iterable<unknown>): number {
  let number = 0;
  for (const item of items) if (item !== undefined) number += 1;
  return number;
}
