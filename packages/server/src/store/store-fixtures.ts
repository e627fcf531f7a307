/** Both databases for the tests of the store: each test has an empty database, and opens it as often as it likes. */
import { afterAll, afterEach, beforeAll } from 'vitest';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FAST_SETTINGS, launchPostgres, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { openPostgresStore, type PostgresStoreOptions } from './postgres/open-postgres-store.js';
import { openStore } from './open-store.js';
import type { Store } from './store.js';

export const DATABASES = ['sqlite', 'postgres'] as const;
export type Database = (typeof DATABASES)[number];

const START_LIMIT_MS = 120_000;

interface FixtureOptions {
  readonly keepRevisions?: number;
  readonly mostChanges?: number;
}

export interface StoreFixture {
  /** Of the test that runs: empty at its start. SQLite: one store at a time. Whatever was opened is closed after the test. */
  open(options?: FixtureOptions): Promise<Store>;
}

/**
 * @example
 * describe.each(DATABASES)('revisions on %s', (database) => {
 *   const stores = useStores(database);
 *   it('start at 0', async () => { const store = await stores.open(); … });
 * });
 */
export function useStores(database: Database): StoreFixture {
  return database === 'sqlite' ? useSqlite() : usePostgres();
}

export interface PostgresFixture extends StoreFixture {
  readonly server: LaunchedPostgres;
  /** Of the database of the test that runs. */
  url(): Promise<string>;
  open(options?: Partial<PostgresStoreOptions>): Promise<Store>;
}

/** One PostgreSQL for the tests of a `describe`, fast and not safe from a power cut unless `settings` say otherwise. */
export function usePostgres(settings: Readonly<Record<string, string>> = FAST_SETTINGS): PostgresFixture {
  const opened = closedAfterEach();
  let directory: TemporaryDirectory | undefined;
  let server: LaunchedPostgres | undefined;
  let url: Promise<string> | undefined;
  let count = 0;
  beforeAll(async () => {
    directory = createTemporaryDirectory();
    server = await launchPostgres({ directory: directory.path, settings });
  }, START_LIMIT_MS);
  afterEach(() => {
    url = undefined;
  });
  afterAll(async () => {
    await server?.[Symbol.asyncDispose]();
    directory?.remove();
  }, START_LIMIT_MS);
  const running = (): LaunchedPostgres => {
    if (server === undefined)
      throw new Error('PostgreSQL is started before the tests of a describe, and not sooner');
    return server;
  };
  let servers = 0;
  const urlOfTest = (): Promise<string> => {
    url ??= running().createDatabase(`test_${(count += 1)}`);
    return url;
  };
  return {
    get server() {
      return running();
    },
    url: urlOfTest,
    open: async (options = {}) =>
      opened(
        await openPostgresStore({
          url: await urlOfTest(),
          serverId: `server ${(servers += 1)}`,
          clock: systemClock,
          log: silentLogger,
          pool: { maxConnections: 8 },
          ...options,
        }),
      ),
  };
}

function useSqlite(): StoreFixture {
  let directory: TemporaryDirectory | undefined;
  afterEach(() => {
    directory?.remove();
    directory = undefined;
  });
  // After the folder's, because what is registered last is done first.
  const opened = closedAfterEach();
  return {
    open: async (options = {}) => {
      directory ??= createTemporaryDirectory();
      return opened(
        await openStore({ path: directory.join('store.sqlite3'), log: silentLogger, ...options }),
      );
    },
  };
}

function closedAfterEach(): (store: Store) => Store {
  const stores: Store[] = [];
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
  });
  return (store) => {
    stores.push(store);
    return store;
  };
}
