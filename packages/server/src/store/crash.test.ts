import { describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { linesUntilKilled } from '@bonafide/testing/lines-until-killed';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { openStore } from './open-store.js';
import { usePostgres } from './store-fixtures.js';
import type { Store } from './store.js';

const ROUNDS = 2;
const LIMIT_MS = 300_000;
const WRITER = new URL('write-until-killed.ts', import.meta.url);

/** Each round goes on with what the ones before left behind. */
async function writeInRounds(where: string, open: () => Promise<Store>): Promise<void> {
  const acknowledged: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    acknowledged.push(...(await linesUntilKilled(WRITER, [where, `r${round}`], 20 + round * 37)));
    const store = await open();
    const log = (await store.changesSince(0, 100_000)) ?? [];
    const byRevision = new Map(log.map(({ revision, changes }) => [String(revision), changes]));
    for (const line of acknowledged) {
      const [revision = '', id = ''] = line.split(' ');
      expect(await store.entries.get(id)).toBeDefined();
      expect(byRevision.get(revision)).toMatchObject([
        { kind: 'entry', entryId: id },
        { kind: 'entry', entryId: `${id}-twin` },
      ]);
    }
    // Every transaction wrote two entries: an odd one would be half of one.
    expect(log.map(({ revision }) => revision)).toEqual(log.map((_, index) => index + 1));
    expect(await store.entries.count({})).toBe(log.length * 2);
    expect(await store.currentRevision()).toBe(log.length);
    await store.close();
  }
  expect(acknowledged.length).toBeGreaterThan(20 * ROUNDS);
}

describe('kill -9 in the middle of writing', () => {
  const postgres = usePostgres();

  it(
    'loses no acknowledged write, leaves none half done, and needs no repair (invariant 9)',
    async () => {
      using directory = createTemporaryDirectory();
      const path = directory.join('store.sqlite3');
      await writeInRounds(path, () => openStore({ path, log: silentLogger }));
    },
    LIMIT_MS,
  );

  it(
    'does neither on PostgreSQL, whose connections break off where they are',
    async () => {
      const leftBehind = async (): Promise<string> =>
        (
          await postgres.server.query(
            "select count(*) from pg_stat_activity where application_name like 'bonafide%' and datname like 'test%'",
          )
        ).trim();
      await writeInRounds(await postgres.url(), async () => {
        // A commit that was sent before the kill may come after it.
        await waitFor(
          'the connections of the killed process to end',
          async () => (await leftBehind()) === '0',
          {
            limitMs: 150_000,
          },
        );
        return postgres.open();
      });
    },
    LIMIT_MS,
  );
});
