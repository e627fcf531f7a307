/** The first stage: the data folder, the store in it, and the registry in memory. */
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import { refuseUnfinishedRestore } from '../backup/unfinished-restore.js';
import { datastoreSettings } from '../configuration/datastore-config.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { lockDataFolder } from '../store/database-lock.js';
import type { WriteMeter } from '../store/metered-turn.js';
import { openPostgresStore } from '../store/postgres/open-postgres-store.js';
import { openStore } from '../store/open-store.js';
import { refuseOtherTrustDomain } from '../store/refuse-other-trust-domain.js';
import { loadServerId } from '../store/server-id.js';
import type { Store } from '../store/store.js';
import type { Startup } from './startup.js';
import type { Telemetry } from './telemetry.js';

export interface Storage {
  readonly store: Store;
  readonly graph: EntryGraph;
}

export async function openStorage(
  startup: Startup,
  { metrics }: Pick<Telemetry, 'metrics'>,
): Promise<Storage> {
  const { config, clock, log, shutdown } = startup;
  const { trust_domain: trustDomain, data_dir: dataFolder } = config.server;
  await prepareDataFolder('data_dir', dataFolder);
  const lock = await lockDataFolder(dataFolder);
  shutdown.add(() => {
    lock.release();
  });
  await refuseUnfinishedRestore(dataFolder);
  const store = await openDatastore(startup, metrics.upkeep.datastoreWrite.bind(metrics.upkeep));
  shutdown.add(() => store.close());
  await refuseOtherTrustDomain(store, trustDomain);
  const graph = await EntryGraph.load({ store, trustDomain, clock, log });
  shutdown.add(() => {
    graph.stop();
  });
  return { store, graph };
}

export async function openDatastore(
  { config, clock, log }: Pick<Startup, 'config' | 'clock' | 'log'>,
  meter?: WriteMeter,
): Promise<Store> {
  const { data_dir: dataFolder } = config.server;
  const settings = datastoreSettings(config.datastore, config.plugins.DataStore, dataFolder);
  switch (settings.kind) {
    case 'sqlite':
      return openStore({ path: settings.path, log, meter });
    case 'postgres':
      return openPostgresStore({ ...settings, serverId: await loadServerId(dataFolder), meter, clock, log });
  }
}
