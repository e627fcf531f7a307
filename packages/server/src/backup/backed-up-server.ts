/** What a configuration says about where a server keeps what a backup holds. */
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { datastoreSettings } from '../configuration/datastore-config.js';
import type { ServerConfig } from '../configuration/server-config.js';
import type { DumpTarget } from '../store/dump/database-dump.js';
import { IN_MEMORY } from '../store/sqlite-database.js';

export interface BackedUpServer {
  readonly trustDomain: TrustDomain;
  readonly dataFolder: string;
  readonly database: DumpTarget;
  /** Undefined: keys are in memory only. */
  readonly keysPath: string | undefined;
}

/** @throws BonafideError `failed_precondition` for a database in memory. */
export function backedUpServer({ server, datastore, plugins }: ServerConfig): BackedUpServer {
  const { data_dir: dataFolder, trust_domain: trustDomain } = server;
  const database = datastoreSettings(datastore, plugins.DataStore, dataFolder);
  if (database.kind === 'sqlite' && database.path === IN_MEMORY) {
    throw new BonafideError('failed_precondition', 'the database is in memory; expected one in a file');
  }
  const { disk, memory } = plugins.KeyManager;
  return {
    trustDomain,
    dataFolder,
    database,
    keysPath: memory === undefined ? (disk?.keys_path ?? join(dataFolder, 'keys.json')) : undefined,
  };
}
