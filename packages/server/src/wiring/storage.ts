/** The first stage: the data folder, the store in it, and the registry in memory. */
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import { datastoreSettings } from '../configuration/datastore-config.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { lockDataFolder } from '../store/database-lock.js';
import { openPostgresStore } from '../store/postgres/open-postgres-store.js';
import { openStore } from '../store/open-store.js';
import { loadServerId } from '../store/server-id.js';
import type { Store } from '../store/store.js';
import type { Startup } from './startup.js';

export interface Storage {
  readonly store: Store;
  readonly graph: EntryGraph;
}

export async function openStorage(startup: Startup): Promise<Storage> {
  const { config, clock, log, shutdown } = startup;
  const { trust_domain: trustDomain, data_dir: dataFolder } = config.server;
  await prepareDataFolder('data_dir', dataFolder);
  const lock = await lockDataFolder(dataFolder);
  shutdown.add(() => {
    lock.release();
  });
  const store = await openDatastore(startup);
  shutdown.add(() => store.close());
  const graph = await EntryGraph.load({ store, trustDomain, clock, log });
  shutdown.add(() => {
    graph.stop();
  });
  return { store, graph };
}

async function openDatastore({ config, clock, log }: Startup): Promise<Store> {
  const { data_dir: dataFolder } = config.server;
  const settings = datastoreSettings(config.datastore, config.plugins.DataStore, dataFolder);
  switch (settings.kind) {
    case 'sqlite':
      return openStore({ path: settings.path, log });
    case 'postgres':
      return openPostgresStore({ ...settings, serverId: await loadServerId(dataFolder), clock, log });
  }
}
