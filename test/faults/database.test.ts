/** The database dies, has no connection left, or forgets to notify: two servers on it lose nothing, and their agents catch up. */
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { DATABASE, useSharedRegistry } from './shared-registry.js';

const USER = 'bonafide_server';
const LIMIT = { limitMs: 120_000 };
const KILLS = 2;
const LONGEST_ROUND_MS = 500;
const LISTENERS = "application_name like 'bonafide/%'";

describe('two servers on one database', () => {
  const sharedRegistry = useSharedRegistry({
    agents: [['a'], ['b'], ['a', 'b']],
    poolSize: 3,
    user: USER,
  });

  async function terminate(which: string): Promise<void> {
    await sharedRegistry().postgres.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${USER}' and ${which}`,
    );
  }

  it('lose no acknowledged write when it is killed under load', async () => {
    const registry = sharedRegistry();
    const entries = registry.changeEntries();
    const tokens = await registry.raceForTokens();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await registry.isAtWork(entries);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_ROUND_MS));
      const refused = sum(entries.refusals);
      await registry.postgres.kill9();
      await waitFor('a write to be refused', () => sum(entries.refusals) > refused, LIMIT);
      await registry.postgres.start();
    }
    await registry.isAtWork(entries);
    await Promise.all([entries.stop(), tokens.stop()]);
    const settledMs = await registry.invariants.check({ entries, tokens });
    process.stdout.write(
      `database killed ${KILLS} times: ${entries.acknowledged} changes acknowledged, ${entries.expected.doubtful} in doubt, ` +
        `${tokens.spent} tokens spent; all agreed after ${settledMs} ms\n`,
    );
  });

  it('answer every one of many writers when it has too few connections, and recover', async () => {
    const registry = sharedRegistry();
    await registry.postgres.query(`alter role ${USER} connection limit 2`);
    await terminate('true');
    // No server takes that long to answer.
    const entries = registry.changeEntries({
      operators: 40,
      selector: 'unix:uid:4294967294',
      deadlineMs: 60_000,
    });
    const words = (): readonly string[] => [...entries.refusals.keys()];
    await waitFor(
      'a refusal that names the cause',
      () => words().some((text) => text.includes('has no connection left')),
      { ...LIMIT, explain: () => words().join('\n') },
    ).finally(() => registry.postgres.query(`alter role ${USER} connection limit -1`));
    await registry.isAtWork(entries, 100);
    await entries.stop();
    expect(words().filter((text) => !text.includes('database registry at'))).toEqual([]);
    await registry.invariants.check({ entries });
  });

  it('hear of each other although no notification arrives', async () => {
    const registry = sharedRegistry();
    const { postgres } = registry;
    await postgres.query('create table lost_notifications (at timestamptz default now())', DATABASE);
    await postgres.query(
      `create function public.pg_notify(text, text) returns void language sql security definer
       as 'insert into public.lost_notifications default values'`,
      DATABASE,
    );
    const entries = registry.changeEntries({ operators: 2 });
    await registry.isAtWork(entries);
    await entries.stop();
    const settledMs = await registry.invariants.check({ entries });
    await postgres.query('drop function public.pg_notify(text, text)', DATABASE);
    expect(Number(await postgres.query('select count(*) from lost_notifications', DATABASE))).toBeGreaterThan(
      9,
    );
    process.stdout.write(`without any notification all agreed after ${settledMs} ms\n`);
  });

  it('hear of each other although the connections that listen are ended again and again', async () => {
    const registry = sharedRegistry();
    const entries = registry.changeEntries();
    for (let round = 0; round < 5; round += 1) {
      await registry.isAtWork(entries, 2);
      await terminate(LISTENERS);
    }
    await entries.stop();
    await terminate(LISTENERS);
    await registry.invariants.check({ entries });
  });
});

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}
