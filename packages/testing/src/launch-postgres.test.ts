import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchPostgres, type LaunchedPostgres } from './launch-postgres.js';
import { createTemporaryDirectory } from './temporary-directory.js';
import { waitFor } from './wait-for.js';

const LIMIT_MS = 120_000;
const directory = createTemporaryDirectory();
let postgres: LaunchedPostgres;

beforeAll(async () => {
  postgres = await launchPostgres({ directory: directory.path });
}, LIMIT_MS);

afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  directory.remove();
}, LIMIT_MS);

describe('a launched PostgreSQL', () => {
  it(
    'keeps what was committed, killed or stopped',
    async () => {
      await postgres.createDatabase('kept');
      await postgres.query('create table notes (text text)', 'kept');
      await postgres.query("insert into notes values ('first')", 'kept');
      await postgres.kill9();
      await expect(postgres.query('select 1')).rejects.toThrow('psql failed');
      await postgres.start();
      await postgres.query("insert into notes values ('second')", 'kept');
      await postgres.restart();
      expect(await postgres.query('select text from notes', 'kept')).toBe('first\nsecond\n');
      expect((await postgres.query('show fsync')).trim()).toBe('on');
    },
    LIMIT_MS,
  );

  it(
    'sorts by the rules of a language, so that a test notices who relies on bytes',
    async () => {
      const [major = 0] = (await postgres.query('show server_version')).split('.').map(Number);
      const sorted = await postgres.query(
        "select string_agg(x, '' order by x) from (values ('a'), ('B')) v(x)",
      );
      expect(sorted.trim()).toBe(major >= 15 ? 'aB' : 'Ba');
    },
    LIMIT_MS,
  );

  it(
    'is followed by a replica that can only be read',
    async () => {
      using replicaDirectory = createTemporaryDirectory();
      await using replica = await launchPostgres({ directory: replicaDirectory.path, replicaOf: postgres });
      await postgres.createDatabase('followed');
      await waitFor(
        'the replica to follow',
        async () => (await replica.query('select 1', 'followed')) !== '',
      );
      await expect(replica.query('create table t (a int)', 'followed')).rejects.toThrow('read-only');
    },
    LIMIT_MS,
  );
});
