import { describe, expect, it } from 'vitest';
import { launchPostgres } from '@bonafide/testing/launch-postgres';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { createEntry } from '../create-entry.js';
import { usePostgres } from '../store-fixtures.js';

const LIMIT_MS = 120_000;

describe('a read replica', () => {
  const postgres = usePostgres();

  it(
    'answers lists alone, once it holds what this server knows, and the primary does when it is gone',
    async () => {
      using directory = createTemporaryDirectory();
      const database = (await postgres.url()).split('/').at(-1)?.split('?')[0] ?? '';
      await using replica = await launchPostgres({ directory: directory.path, replicaOf: postgres.server });
      const store = await postgres.open({ readReplicaUrl: replica.url(database) });
      const id = await createEntry(store, '/a');
      // A list right after a write has it, however far the replica is.
      expect(await store.entries.count({})).toBe(1);
      const asked = async (): Promise<boolean> => {
        const count = await store.entries.count({});
        expect(count).toBe(1);
        const seen = await replica.query(
          `select count(*) from pg_stat_activity where datname = '${database}' and query like '%count%from "entries"%'`,
        );
        return seen.trim() === '1';
      };
      await waitFor('a list from the replica', asked, { limitMs: 150_000 });
      const page = { size: 10, token: undefined };
      await replica.kill9();
      expect((await store.entries.list({}, page)).items.map((entry) => entry.id)).toEqual([id]);
      expect(await store.nodes.count({})).toBe(0);
    },
    LIMIT_MS,
  );

  it(
    'of another database is not believed',
    async () => {
      const other = await postgres.server.createDatabase('another');
      const stranger = await postgres.open({ url: other });
      await createEntry(stranger, '/foreign');
      const store = await postgres.open({ readReplicaUrl: other });
      expect(await store.entries.count({})).toBe(0);
    },
    LIMIT_MS,
  );
});
