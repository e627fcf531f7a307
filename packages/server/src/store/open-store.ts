/** Opens the store in a SQLite file, for one server. */
import type { Logger } from '@bonafide/shared/runtime/logger';
import { ChangeListeners } from './change-listeners.js';
import { lockDatabase } from './database-lock.js';
import type { WriteMeter } from './metered-turn.js';
import { openLog } from './sql/change-log.js';
import { migrate } from './sql/migrate.js';
import { SqlStore } from './sql-store.js';
import { connectSqlite, createDatabaseFile, IN_MEMORY } from './sqlite-database.js';
import type { DatabaseConnection, Store } from './store.js';

export interface StoreOptions {
  /** A file, or `:memory:`. */
  readonly path: string;
  readonly log: Logger;
  /** How many revisions the change log reaches back. */
  readonly keepRevisions?: number;
  /** In the log, of one revision. */
  readonly mostChanges?: number;
  readonly meter?: WriteMeter | undefined;
}

/** A file is there or it is not: whoever cannot use it hears of it at once. */
const ALWAYS_CONNECTED: DatabaseConnection = {
  state: { kind: 'connected' },
  subscribe: () => () => undefined,
};

/** @throws BonafideError `failed_precondition` for a file of a newer release or one that another server uses, `unavailable` when it cannot be opened or written. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { path, log, keepRevisions, mostChanges, meter } = options;
  const isFile = path !== IN_MEMORY;
  if (isFile) await createDatabaseFile(path);
  const lock = isFile ? await lockDatabase(path) : undefined;
  let writer;
  try {
    const db = (writer = connectSqlite(path, 'write'));
    await migrate(db);
    const logId = await openLog(db);
    const reader = isFile ? connectSqlite(path, 'read') : db;
    const listeners = new ChangeListeners(log);
    return new SqlStore({
      logId,
      // A database file has one server for ever.
      serverId: '',
      connection: ALWAYS_CONNECTED,
      writer: db,
      reader,
      listeners,
      announce: ({ committed }) => listeners.tell(committed),
      keepRevisions,
      mostChanges,
      meter,
      close: async () => {
        await reader.destroy();
        await db.destroy();
        lock?.release();
      },
    });
  } catch (error) {
    await writer?.destroy();
    lock?.release();
    throw error;
  }
}
