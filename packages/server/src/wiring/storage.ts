/** The first stage: the data folder, the store in it, and the registry in memory. */
import { join } from 'node:path';
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import type { ServerConfig } from '../configuration/server-config.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import type { Startup } from './startup.js';

export interface Storage {
  readonly store: Store;
  readonly graph: EntryGraph;
}

export async function openStorage({ config, clock, log, shutdown }: Startup): Promise<Storage> {
  const { trust_domain: trustDomain, data_dir: dataFolder } = config.server;
  await prepareDataFolder('data_dir', dataFolder);
  const store = await openStore({ path: databasePath(config), log });
  shutdown.add(() => store.close());
  const graph = await EntryGraph.load({ store, trustDomain, clock, log });
  shutdown.add(() => {
    graph.stop();
  });
  return { store, graph };
}

function databasePath({ server, plugins }: ServerConfig): string {
  return plugins.DataStore.sql.connection_string ?? join(server.data_dir, 'datastore.sqlite3');
}
