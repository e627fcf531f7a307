import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createEntry } from './create-entry.js';
import { openStore, type StoreOptions } from './open-store.js';
import { SqliteDriver } from './sqlite-driver.js';
import type { Store } from './store.js';

const opened: Store[] = [];

async function open(options: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openStore({ path: ':memory:', log: silentLogger, ...options });
  opened.push(store);
  return store;
}

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
});

describe('the database file', () => {
  it('is for its owner alone, in a folder for its owner alone', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('data', 'store.sqlite3');
    const store = await open({ path });
    await createEntry(store, '/a');
    expect(statSync(directory.join('data')).mode & 0o777).toBe(0o700);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) {
      expect(existsSync(file)).toBe(true);
      expect(statSync(file).mode & 0o777).toBe(0o600);
    }
    await store.close();
    opened.pop();
  });

  it('is for one server at a time', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('store.sqlite3');
    const first = await openStore({ path, log: silentLogger });
    await createEntry(first, '/a');
    await expect(openStore({ path, log: silentLogger })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringContaining('in use by another server') as unknown,
    });
    await createEntry(first, '/b');
    await first.close();
    const second = await openStore({ path, log: silentLogger });
    expect(await second.entries.count({})).toBe(2);
    await second.close();
  });

  it('is refused, untouched, when a newer release wrote it', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('store.sqlite3');
    await (await openStore({ path, log: silentLogger })).close();
    const raw = new SqliteDriver(path);
    raw.exec("insert into applied_migrations values ('0999_from_the_future', '2040-01-01T00:00:00Z')");
    raw.pragma('wal_checkpoint(TRUNCATE)');
    raw.close();
    const before = readFileSync(path);
    await expect(openStore({ path, log: silentLogger })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringMatching(/0999_from_the_future.*newest this release knows is 00\d\d_/) as string,
    });
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it('has no join token as it is (decision 5)', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('store.sqlite3');
    const store = await open({ path });
    const token = { token: 'f00dbeef-secret', expiresAt: new Date(1000), aliasId: undefined };
    await store.write(({ joinTokens }) => joinTokens.create(token));
    for (const file of [path, `${path}-wal`]) expect(readFileSync(file).includes('f00dbeef')).toBe(false);
    await store.close();
  });

  it('is refused when it is something else', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('notes.txt');
    writeFileSync(path, 'not a database '.repeat(100));
    await expect(openStore({ path, log: silentLogger })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: expect.stringContaining('not a database') as string,
    });
  });

  it('is refused when it cannot be opened', async () => {
    using directory = createTemporaryDirectory();
    writeFileSync(directory.join('file'), '');
    await expect(
      openStore({ path: directory.join('file', 'store.sqlite3'), log: silentLogger }),
    ).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringContaining('cannot open the database') as string,
    });
  });
});
