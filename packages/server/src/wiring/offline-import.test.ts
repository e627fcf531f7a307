import { readFile, stat } from 'node:fs/promises';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serverConfigSchema } from '../configuration/server-config.js';
import { postgresAge, sqliteAge } from '../store/database-age.js';
import { createEntry } from '../store/create-entry.js';
import { openStore } from '../store/open-store.js';
import { SqliteDriver } from '../store/sqlite-driver.js';
import { usePostgres } from '../store/store-fixtures.js';
import { openImportTarget, type ImportTarget } from './offline-import.js';

const FORGET = 'delete from applied_migrations where name = (select max(name) from applied_migrations)';

let directory: TemporaryDirectory;
let path: string;

beforeEach(() => {
  directory = createTemporaryDirectory();
  path = directory.join('data/datastore.sqlite3');
});
afterEach(() => {
  directory.remove();
});

function openForDryRun(datastore: object = { type: 'sqlite', path }): Promise<ImportTarget> {
  const server = { trust_domain: 'example.org', data_dir: directory.join('data') };
  const keys = { disk: { keys_path: directory.join('keys.json') } };
  const plugins = { KeyManager: keys, NodeAttestor: { join_token: {} } };
  const text = JSON.stringify({ server, datastore, plugins });
  const config = parseConfig('server.json', text, serverConfigSchema);
  return openImportTarget({ config, clock: systemClock, log: silentLogger, isDryRun: true });
}

async function makeDatabase(): Promise<void> {
  const store = await openStore({ path, log: silentLogger });
  await createEntry(store, '/web');
  await store.close();
}

/** As an earlier release left it. */
function forgetLastMigration(): void {
  const connection = new SqliteDriver(path);
  connection.exec(FORGET);
  connection.close();
}

describe('a dry run', () => {
  it('supposes a database that is not there, and makes no folder for it', async () => {
    const target = await openForDryRun();
    expect(await target.store.entries.count({})).toBe(0);
    await target.close();
    await expect(stat(directory.join('data'))).rejects.toThrow('ENOENT');
  });

  it('reads the database that is there', async () => {
    await makeDatabase();
    const target = await openForDryRun();
    expect(await target.store.entries.count({})).toBe(1);
    await target.close();
  });

  it('refuses a database that an earlier release made, and changes no byte of it', async () => {
    await makeDatabase();
    forgetLastMigration();
    const before = await readFile(path);
    expect(await sqliteAge(path)).toBe('older');
    await expect(openForDryRun()).rejects.toThrow(
      'was made by an earlier release, and a dry run changes nothing',
    );
    expect(await readFile(path)).toEqual(before);
    expect(await sqliteAge(path)).toBe('older');
  });
});

describe('a dry run on PostgreSQL', () => {
  const postgres = usePostgres();

  it('makes no tables and no data folder, and refuses those of an earlier release', async () => {
    const datastore = { type: 'postgres', url: await postgres.url() };
    const supposed = await openForDryRun(datastore);
    expect(await supposed.store.entries.count({})).toBe(0);
    await supposed.close();
    expect(await postgresAge(datastore.url)).toBe('empty');

    const store = await postgres.open();
    const id = await createEntry(store, '/web');
    const target = await openForDryRun(datastore);
    expect((await target.store.entries.get(id))?.id).toBe(id);
    await target.close();
    await expect(stat(directory.join('data'))).rejects.toThrow('ENOENT');

    await store.close();
    await postgres.server.query(FORGET, new URL(datastore.url).pathname.slice(1));
    await expect(openForDryRun(datastore)).rejects.toThrow('was made by an earlier release');
    expect(await postgresAge(datastore.url)).toBe('older');
  });
});
