/** How many SQL statements one change costs, from its creation until every agent has it: a server's store and sync rooms in this process. */
import { EntryGraph } from '@bonafide/server/entry-graph/entry-graph';
import { Registration } from '@bonafide/server/registration/registration';
import { exampleBundle, exampleEntry, exampleNode } from '@bonafide/server/store/example-records';
import { openStore } from '@bonafide/server/store/open-store';
import { SqliteDriver } from '@bonafide/server/store/sqlite-driver';
import { WatchStreams } from '@bonafide/server/sync/watch-streams';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { agentId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { waitFor } from '@bonafide/testing/wait-for';

const TRUST_DOMAIN = parseTrustDomain('example.org');
const CHANGES = 10;
const ALIAS = '/fleet';
const SERIAL_NUMBER = 'a1';
const FLEET = [{ type: 'fleet', value: 'all' }];

/** @returns statements for each creation of an entry of which all the agents are told. */
export async function statementsPerChange(agents: number): Promise<number> {
  const store = await openStore({ path: ':memory:', log: silentLogger });
  const host = { trustDomain: TRUST_DOMAIN, clock: systemClock, log: silentLogger };
  const graph = await EntryGraph.load({ ...host, store });
  const streams = new WatchStreams({ ...host, graph, logId: store.logId });
  const ids = Array.from({ length: agents }, (_, index) => agentId(TRUST_DOMAIN, 'bench', `${index}`));
  try {
    const expiresAt = new Date(systemClock.now().getTime() + 3_600_000);
    await store.write(async ({ bundles, entries, nodes }) => {
      await bundles.put(exampleBundle(TRUST_DOMAIN));
      for (const [index, id] of ids.entries()) {
        await nodes.put(
          exampleNode({ agentId: id, serialNumber: SERIAL_NUMBER, selectors: FLEET, expiresAt }),
        );
        if (index > 0) continue;
        const alias = exampleEntry({ path: ALIAS, parent: '/spire/server', selectors: ['fleet:all'] });
        await entries.create(alias, { id: 'alias', createdAt: systemClock.now() });
      }
    });
    let deltas = 0;
    let snapshots = 0;
    for (const id of ids) {
      const watch = streams.open({
        agentId: id,
        serialNumber: SERIAL_NUMBER,
        expiresAt,
        hello: { kind: 'hello', cursor: undefined, agentVersion: '' },
        transport: {
          send: (message) => {
            if (message.kind === 'drain') return Promise.resolve();
            if (message.kind === 'delta') deltas += 1;
            else snapshots += 1;
            watch.acknowledge(message.revision);
            return Promise.resolve();
          },
          end: () => undefined,
        },
      });
    }
    await waitFor('the snapshots', () => snapshots === agents);
    const registration = new Registration({ ...host, store });
    const statements = await counting(async () => {
      for (let change = 1; change <= CHANGES; change += 1) {
        const content = exampleEntry({ path: `/change/${change}`, parent: ALIAS });
        await registration.createEntries([{ id: undefined, content }]);
        await waitFor('every agent to be told', () => deltas === change * agents, { intervalMs: 1 });
      }
    });
    return statements / CHANGES;
  } finally {
    streams.stop();
    graph.stop();
    await store.close();
  }
}

/** The driver's own class of statements, so that none goes by uncounted. */
interface Statement {
  run: (...parameters: unknown[]) => unknown;
  all: (...parameters: unknown[]) => unknown;
}
async function counting(work: () => Promise<void>): Promise<number> {
  const connection = new SqliteDriver(':memory:');
  const statements = Object.getPrototypeOf(connection.prepare('SELECT 1')) as Statement;
  connection.close();
  const { run, all } = statements;
  let count = 0;
  statements.run = function (this: Statement, ...parameters) {
    count += 1;
    return run.apply(this, parameters);
  };
  statements.all = function (this: Statement, ...parameters) {
    count += 1;
    return all.apply(this, parameters);
  };
  try {
    await work();
  } finally {
    statements.run = run;
    statements.all = all;
  }
  return count;
}
