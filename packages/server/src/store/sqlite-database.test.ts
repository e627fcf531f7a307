import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { sql, type Kysely } from 'kysely';
import { describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { exampleEntry } from './example-records.js';
import { openStore } from './open-store.js';
import type { Schema } from './sql/schema.js';
import { connectSqlite } from './sqlite-database.js';
import type { Store } from './store.js';

async function fillUntilRefused(
  store: Store,
): Promise<{ readonly acknowledged: number; readonly error: unknown }> {
  const selectors = Array.from({ length: 50 }, (_, index) => `unix:path:/${'x'.repeat(200)}${index}`);
  for (let acknowledged = 0; acknowledged < 1000; acknowledged += 1) {
    try {
      await store.write(({ entries }) =>
        entries.create(exampleEntry({ path: `/w${acknowledged}`, selectors }), {
          id: undefined,
          createdAt: new Date(0),
        }),
      );
    } catch (error) {
      return { acknowledged, error };
    }
  }
  throw new Error('the disk never got full');
}

describe('a full disk', () => {
  it('fails the write with words, rolls it back, and the connection works on when there is room again', async () => {
    const db: Kysely<Schema> = connectSqlite(':memory:', 'write');
    await sql`create table notes (text)`.execute(db);
    await sql`pragma max_page_count = 5`.execute(db);
    const write = (): Promise<void> =>
      db.transaction().execute(async (transaction) => {
        await sql`insert into notes values ('small')`.execute(transaction);
        await sql`insert into notes values (${'x'.repeat(50_000)})`.execute(transaction);
      });
    await expect(write()).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringContaining('is full; nothing was changed') as string,
    });
    const count = async (): Promise<unknown> => (await sql`select count(*) as n from notes`.execute(db)).rows;
    expect(await count()).toEqual([{ n: 0 }]);
    await sql`pragma max_page_count = 1000`.execute(db);
    await write();
    expect(await count()).toEqual([{ n: 2 }]);
    await db.destroy();
  });

  it.runIf(canMount())(
    'loses no acknowledged write, and the store works on when there is room again',
    async () => {
      using directory = createTemporaryDirectory();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory.path]);
      try {
        const path = directory.join('store.sqlite3');
        // Half of the disk: room enough for what the write-ahead log holds to be moved into the database when it is closed.
        const ballast = directory.join('ballast');
        execFileSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1024', 'count=2048'], { stdio: 'ignore' });
        const store = await openStore({ path, log: silentLogger });
        const { acknowledged, error } = await fillUntilRefused(store);
        expect(error).toMatchObject({
          reason: 'unavailable',
          message: expect.stringContaining(path) as string,
        });
        expect(acknowledged).toBeGreaterThan(1);
        expect(await store.entries.count({})).toBe(acknowledged);
        expect(await store.currentRevision()).toBe(acknowledged);
        rmSync(ballast);
        await store.write(({ entries }) =>
          entries.create(exampleEntry({ path: '/after' }), { id: 'after', createdAt: new Date(0) }),
        );
        await store.close();
        const again = await openStore({ path, log: silentLogger });
        expect(await again.entries.count({})).toBe(acknowledged + 1);
        await again.close();
        expect(readdirSync(directory.path)).toEqual(['store.sqlite3', 'store.sqlite3.lock']);
      } finally {
        execFileSync('umount', [directory.path]);
      }
    },
  );

  it('is told apart from a read-only database', async () => {
    const db = connectSqlite(':memory:', 'write');
    await sql`create table notes (text)`.execute(db);
    await sql`pragma query_only = on`.execute(db);
    await expect(sql`insert into notes values ('a')`.execute(db)).rejects.toMatchObject({
      reason: 'unavailable',
      message: expect.stringContaining('is read-only; nothing was changed') as string,
    });
    await db.destroy();
  });
});

/** Only root may, and not in every container. */
function canMount(): boolean {
  using directory = createTemporaryDirectory();
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', directory.path], { stdio: 'ignore' });
    execFileSync('umount', [directory.path]);
    return true;
  } catch {
    return false;
  }
}
