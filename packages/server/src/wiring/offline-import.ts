/** What an import writes into while no server runs: the datastore and the key manager of a configuration, as the server would open them. */
import { randomUUID } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { Shutdown } from '@bonafide/shared/runtime/shutdown';
import type { KeyManager } from '../authority/key-manager.js';
import { openKeyManager } from '../authority/open-key-manager.js';
import { datastoreSettings, type DatastoreSettings } from '../configuration/datastore-config.js';
import type { ServerConfig } from '../configuration/server-config.js';
import { postgresAge, sqliteAge, type DatabaseAge } from '../store/database-age.js';
import { lockDataFolder } from '../store/database-lock.js';
import { openStore } from '../store/open-store.js';
import { openPostgresStore } from '../store/postgres/open-postgres-store.js';
import { SERVER_ID_FILE } from '../store/server-id.js';
import type { Store } from '../store/store.js';
import { openDatastore } from './storage.js';

export interface ImportTarget {
  readonly store: Store;
  readonly keyManager: Pick<KeyManager, 'importKeys'>;
  close(): Promise<void>;
}

export interface ImportTargetOptions {
  readonly config: ServerConfig;
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes no files and no tables: a database that is not there yet is supposed. */
  readonly isDryRun: boolean;
}

/**
 * @throws BonafideError `failed_precondition` while a server uses the data folder, and of a dry run for a database that an earlier release
 * made: it would be brought to today's tables.
 */
export async function openImportTarget(options: ImportTargetOptions): Promise<ImportTarget> {
  const { config, log, isDryRun } = options;
  const settings = targetSettings(config);
  const shutdown = new Shutdown();
  try {
    const { data_dir: dataFolder } = config.server;
    if (isDryRun && (await ageOf(settings)) !== 'current') {
      const store = await openStore({ path: ':memory:', log });
      return { store, keyManager: supposedKeyManager(config), close: () => store.close() };
    }
    if (isDryRun && settings.kind === 'postgres' && !(await exists(join(dataFolder, SERVER_ID_FILE)))) {
      const { clock } = options;
      const store = await openPostgresStore({ ...settings, serverId: randomUUID(), clock, log });
      return { store, keyManager: supposedKeyManager(config), close: () => store.close() };
    }
    await prepareDataFolder('data_dir', dataFolder);
    const lock = await lockDataFolder(dataFolder);
    shutdown.add(() => {
      lock.release();
    });
    const store = await openDatastore(options);
    shutdown.add(() => store.close());
    const keyManager = isDryRun
      ? supposedKeyManager(config)
      : await openKeyManager(config.plugins.KeyManager, dataFolder);
    return { store, keyManager, close: () => shutdown.run() };
  } catch (error) {
    await shutdown.run();
    throw error;
  }
}

/** @throws BonafideError `invalid_argument` when SPIRE's database is the one that we are to write. */
export async function checkIsOther(config: ServerConfig, spirePath: string): Promise<void> {
  const settings = targetSettings(config);
  if (settings.kind !== 'sqlite' || !(await exists(settings.path)) || !(await exists(spirePath))) return;
  if ((await realpath(settings.path)) !== (await realpath(spirePath))) return;
  throw new BonafideError(
    'invalid_argument',
    `${spirePath} is the datastore of the configuration too; give this server a data_dir of its own, so that SPIRE can be gone back to`,
  );
}

function targetSettings({ datastore, plugins, server }: ServerConfig): DatastoreSettings {
  return datastoreSettings(datastore, plugins.DataStore, server.data_dir);
}

async function ageOf(settings: DatastoreSettings): Promise<DatabaseAge> {
  const isFile = settings.kind === 'sqlite';
  if (isFile && !(await exists(settings.path))) return 'empty';
  const age = await (isFile ? sqliteAge(settings.path) : postgresAge(settings.url));
  if (age !== 'older') return age;
  throw new BonafideError(
    'failed_precondition',
    'the datastore of the configuration was made by an earlier release, and a dry run changes nothing of it; back it up and start this server on it once, or import without --dry-run',
  );
}

/** What there would be: nothing is brought in a dry run. */
function supposedKeyManager({ plugins }: ServerConfig): Pick<KeyManager, 'importKeys'> {
  return plugins.KeyManager.memory === undefined ? { importKeys: () => Promise.resolve() } : {};
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
