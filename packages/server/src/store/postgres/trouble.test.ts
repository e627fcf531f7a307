import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { waitFor } from '@bonafide/testing/wait-for';
import { EntryGraph } from '../../entry-graph/entry-graph.js';
import { createEntry } from '../create-entry.js';
import { exampleTrustDomain } from '../example-records.js';
import { usePostgres } from '../store-fixtures.js';
import type { CommittedRevision } from '../store.js';

const LIMIT_MS = 180_000;
const WAIT = { limitMs: 150_000 };
/** Of a database that gives no answer: seconds, not minutes, on a machine that is busy too. */
const SOON_MS = 40_000;

describe('a PostgreSQL in trouble', () => {
  const postgres = usePostgres();
  const frozen: number[] = [];
  let roles = 0;

  afterEach(() => {
    thaw();
  });

  function thaw(): void {
    for (const pid of frozen.splice(0)) signalIfThere(pid, 'SIGCONT');
  }

  /** As a machine that hangs: connections stay, nothing is answered. */
  function freeze(): void {
    const { pid } = postgres.server.process;
    process.kill(pid, 'SIGSTOP');
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
    frozen.push(pid, ...children.filter((text) => text.trim() !== '').map(Number));
    for (const each of frozen) signalIfThere(each, 'SIGSTOP');
  }

  async function databaseName(): Promise<string> {
    return new URL(await postgres.url()).pathname.slice(1);
  }

  /** Of a user that may do everything in the database of the test, with these limits. */
  async function urlOfNewRole(limits: string): Promise<{ readonly role: string; readonly url: string }> {
    const role = `role_${(roles += 1)}`;
    const database = await databaseName();
    await postgres.server.query(`create role ${role} login password 'secret' ${limits}`);
    await postgres.server.query(`grant all on database ${database} to ${role}`);
    await postgres.server.query(`grant all on schema public to ${role}`, database);
    await postgres.server.query(
      `grant all on all tables in schema public to ${role}; grant all on all sequences in schema public to ${role}`,
      database,
    );
    const url = new URL(await postgres.url());
    url.username = role;
    url.password = 'secret';
    return { role, url: url.href };
  }

  it(
    'that has no connection left says so, and serves again when there is one',
    async () => {
      const { url } = await urlOfNewRole('connection limit 4');
      const store = await postgres.open({ url, pool: { maxConnections: 20 } });
      const id = await createEntry(store, '/a');
      const answers = await Promise.allSettled(Array.from({ length: 100 }, () => store.entries.get(id)));
      const refusals = answers.flatMap((answer) =>
        answer.status === 'rejected' ? [answer.reason as unknown] : [],
      );
      expect(refusals.length).toBeGreaterThan(0);
      for (const refusal of refusals) {
        expect(refusal).toMatchObject({
          reason: 'unavailable',
          message: expect.stringMatching(
            /^the database .* has no connection left for this user; raise/,
          ) as string,
        });
      }
      expect(store.connection.state.kind).toBe('connected');
      await waitFor('reads to be served', async () => (await store.entries.get(id)) !== undefined, WAIT);
      await createEntry(store, '/b');
    },
    LIMIT_MS,
  );

  it(
    'that gives no answer is lost within seconds: a write on its way fails, those behind it at once, and it recovers',
    async () => {
      const store = await postgres.open({ pollMs: 200 });
      await createEntry(store, '/a');
      const startedMs = performance.now();
      freeze();
      const writes = await Promise.allSettled(
        Array.from({ length: 20 }, (_, index) => createEntry(store, `/frozen/${index}`)),
      );
      expect(performance.now() - startedMs).toBeLessThan(SOON_MS);
      for (const write of writes) {
        expect(write).toMatchObject({ status: 'rejected', reason: { reason: 'unavailable' } });
      }
      expect(store.connection.state).toMatchObject({ kind: 'lost' });
      const againMs = performance.now();
      await expect(createEntry(store, '/at-once')).rejects.toMatchObject({
        reason: 'unavailable',
        message: expect.stringContaining('nothing was changed: ') as string,
        retryAfterMs: 1000,
      });
      expect(performance.now() - againMs).toBeLessThan(30_000);
      thaw();
      await waitFor('the database to be back', () => store.connection.state.kind === 'connected', WAIT);
      await createEntry(store, '/b');
    },
    LIMIT_MS,
  );

  it(
    'whose log was cut behind a server has that server read everything, and end up with what there is',
    async () => {
      const first = await postgres.open({ keepRevisions: 3 });
      await createEntry(first, '/before');
      const { role, url } = await urlOfNewRole('');
      const second = await postgres.open({ url, pollMs: 200 });
      const [graph, followed] = await Promise.all(
        [first, second].map((store) =>
          EntryGraph.load({
            ...{ store, clock: systemClock, log: silentLogger },
            trustDomain: exampleTrustDomain('example.org'),
          }),
        ),
      );
      if (graph === undefined || followed === undefined) throw new Error('two graphs were loaded');
      const heard: CommittedRevision[] = [];
      second.subscribe((committed) => void heard.push(committed));
      await postgres.server.query(`alter role ${role} nologin`);
      await postgres.server.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${role}'`,
      );
      await waitFor('the second to be cut off', () => second.connection.state.kind === 'lost', WAIT);
      const entries = Array.from({ length: 10 }, (_, index) => createEntry(first, `/while-away/${index}`));
      const ids = await Promise.all(entries);
      await postgres.server.query(`alter role ${role} login`);
      await waitFor('the second to catch up', () => followed.revision === graph.revision, WAIT);
      expect(heard).toEqual([{ ...(await first.position()), changes: [{ kind: 'everything' }] }]);
      expect(followed.position).toEqual(graph.position);
      expect(await second.entries.getMany(ids)).toHaveLength(ids.length);
      await createEntry(first, '/after');
      await waitFor('the second to hear the next change alone', () => heard.length === 2, WAIT);
      expect(heard[1]?.changes).toMatchObject([{ kind: 'entry' }]);
      graph.stop();
      followed.stop();
    },
    LIMIT_MS,
  );
});

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
