import { describe, expect, it } from 'vitest';
import { waitFor } from '@bonafide/testing/wait-for';
import { createEntry } from './create-entry.js';
import { usePostgres } from './store-fixtures.js';
import type { CommittedRevision, Store } from './store.js';

const LIMIT_MS = 120_000;
const WAIT = { limitMs: 150_000 };

/** Every revision that the store tells of, in the order in which it does. */
function heardBy(store: Store): CommittedRevision[] {
  const heard: CommittedRevision[] = [];
  store.subscribe((committed) => void heard.push(committed));
  return heard;
}

function revisionsOf(heard: readonly CommittedRevision[]): readonly number[] {
  return heard.map(({ revision }) => revision);
}

function upTo(last: number): readonly number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

describe('several servers on one PostgreSQL', () => {
  const postgres = usePostgres();

  it(
    'that start at once migrate it once',
    async () => {
      const stores = await Promise.all(upTo(4).map(() => postgres.open()));
      expect(new Set(stores.map(({ logId }) => logId)).size).toBe(1);
      const database = (await postgres.url()).split('/').at(-1)?.split('?')[0] ?? '';
      const applied = await postgres.server.query(
        'select count(*) = count(distinct name) from applied_migrations',
        database,
      );
      expect(applied.trim()).toBe('t');
    },
    LIMIT_MS,
  );

  it(
    'each hear of every revision once and in order, while both write',
    async () => {
      const stores = [await postgres.open({ serverId: 'a' }), await postgres.open({ serverId: 'b' })];
      const heard = stores.map(heardBy);
      const writes = stores.flatMap((store, server) =>
        upTo(150).map((index) => createEntry(store, `/${server}/${index}`)),
      );
      await Promise.all(writes);
      await waitFor('both to hear of all', () => heard.every(({ length }) => length >= 300), WAIT);
      for (const one of heard) expect(revisionsOf(one)).toEqual(upTo(300));
      expect(heard[0]).toEqual(heard[1]);
    },
    LIMIT_MS,
  );

  it(
    'miss nothing when the connection that listens is ended',
    async () => {
      const [first, second] = [await postgres.open(), await postgres.open()];
      const heard = heardBy(second);
      for (let index = 0; index < 5; index += 1) {
        await postgres.server.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' or query like 'select revision%'",
        );
        await createEntry(first, `/${index}`);
      }
      await waitFor('all to be heard', () => heard.length >= 5, WAIT);
      expect(revisionsOf(heard)).toEqual(upTo(5));
    },
    LIMIT_MS,
  );

  it(
    'are two: a second one with the same server ID is refused, until the first has stopped',
    async () => {
      const first = await postgres.open({ serverId: 'a' });
      await expect(postgres.open({ serverId: 'a' })).rejects.toThrow(
        /another server with the server ID a is connected to the database, from .* give this server a data_dir of its own/,
      );
      await createEntry(first, '/still-served');
      const opening = postgres.open({ serverId: 'a' });
      await first.close();
      await createEntry(await opening, '/after');
    },
    LIMIT_MS,
  );

  it(
    'keep their server ID when the connection that listens is ended',
    async () => {
      await postgres.open({ serverId: 'a' });
      const holders = async (): Promise<string> =>
        (
          await postgres.server.query(
            "select string_agg(distinct pid::text, ',') from pg_locks where locktype = 'advisory' and granted",
          )
        ).trim();
      const before = await holders();
      await postgres.server.query(`select pg_terminate_backend(${before})`);
      await waitFor(
        'the next connection to hold it',
        async () => ![before, ''].includes(await holders()),
        WAIT,
      );
      await expect(postgres.open({ serverId: 'a' })).rejects.toThrow('another server with the server ID a');
    },
    LIMIT_MS,
  );

  it(
    'spend a join token once',
    async () => {
      const stores = [await postgres.open(), await postgres.open()];
      await stores[0]?.write(({ joinTokens }) =>
        joinTokens.create({ token: 'once', expiresAt: new Date(1000), aliasId: undefined }),
      );
      const spent = await Promise.all(
        upTo(20).flatMap(() =>
          stores.map((store) => store.write(({ joinTokens }) => joinTokens.spend('once'))),
        ),
      );
      expect(spent.filter((token) => token !== undefined)).toHaveLength(1);
    },
    LIMIT_MS,
  );

  it(
    'read everything again when the log does not lead to what they saw: it was cut, or another history took its place',
    async () => {
      const store = await postgres.open({ pollMs: 100 });
      const heard = heardBy(store);
      await createEntry(store, '/a');
      const database = (await postgres.url()).split('/').at(-1)?.split('?')[0] ?? '';
      await postgres.server.query(
        "update changes set nonce = 'other' where revision = 1; insert into changes values (2, '[]', 'x'); update log_head set revision = 2",
        database,
      );
      await waitFor('the other history', () => heard.length >= 2, WAIT);
      expect(heard[1]).toEqual({ revision: 2, nonce: 'x', changes: [{ kind: 'everything' }] });
      await postgres.server.query('delete from changes; update log_head set revision = 1', database);
      await waitFor('a log that went back', () => heard.length >= 3, WAIT);
      expect(heard[2]).toEqual({ revision: 1, nonce: '', changes: [{ kind: 'everything' }] });
    },
    LIMIT_MS,
  );
});

describe('several servers whose PostgreSQL is killed', () => {
  // Without `synchronous_commit`, a kill would lose what was acknowledged.
  const postgres = usePostgres({ fsync: 'off' });

  it(
    'say that the database is lost when it is killed, and go on when it is back, with nothing acknowledged lost',
    async () => {
      const stores = [await postgres.open({ pollMs: 200 }), await postgres.open({ pollMs: 200 })];
      const heard = stores.map(heardBy);
      const ids = await Promise.all(stores.map((store, index) => createEntry(store, `/before/${index}`)));
      await postgres.server.kill9();
      await waitFor(
        'both to notice',
        () => stores.every(({ connection }) => connection.state.kind === 'lost'),
        WAIT,
      );
      const [first, second] = stores;
      if (first === undefined || second === undefined) throw new Error('two were opened');
      await expect(createEntry(first, '/lost')).rejects.toMatchObject({ reason: 'unavailable' });
      await postgres.server.start();
      await waitFor(
        'both to come back',
        () => stores.every(({ connection }) => connection.state.kind === 'connected'),
        WAIT,
      );
      ids.push(await createEntry(first, '/after/0'), await createEntry(second, '/after/1'));
      await waitFor('both to hear', () => heard.every(({ length }) => length >= 4), WAIT);
      for (const one of heard) expect(revisionsOf(one)).toEqual(upTo(4));
      expect(await second.entries.getMany(ids)).toHaveLength(4);
    },
    LIMIT_MS,
  );
});
