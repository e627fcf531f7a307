/** Two servers on one PostgreSQL: how soon a change at one arrives at the agents of the other, and what happens when one of them dies. */
import { mkdir } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { launchPostgres } from '@bonafide/testing/launch-postgres';
import type { LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { percentile } from '../measuring/percentile.js';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import { launchProbedServer } from '../simulator/probed-server.js';
import { Registry } from '../simulator/registry.js';
import { digestOf, POLL_INTERVAL_MS } from '../simulator/simulated-agent.js';
import type { Manner } from '../simulator/simulator-order.js';
import { Simulator } from '../simulator/simulator.js';
import { pushedCreations } from './propagation.js';
import type { ScaleSizes } from './sizes.js';
import { ALIAS_PATH, formatCount, SELECTOR, workloadId } from './world.js';

const ENTRIES_OF_EACH = 10;
const CHANGES_MEANWHILE = 20;
const IN_STEP_LIMIT_MS = 120_000;

export async function severalServersRows(sizes: ScaleSizes): Promise<readonly Row[]> {
  using directory = createTemporaryDirectory();
  progress('PostgreSQL and two servers');
  await using postgres = await launchPostgres({ directory: directory.path });
  const url = await postgres.createDatabase('registry');
  const launch = async (name: string): Promise<LaunchedServer> => {
    const own = directory.join(name);
    await mkdir(own);
    const { server } = await launchProbedServer({
      directory: own,
      config: { plugins: { DataStore: { sql: { database_type: 'postgres', connection_string: url } } } },
    });
    return server;
  };
  await using one = await launch('one');
  await using other = await launch('other');
  using atOne = new Registry(one.socketPath);
  using atOther = new Registry(other.socketPath);
  const rows = [...(await acrossRows(sizes, directory.path, { other, atOne, atOther }))];

  const agents = sizes.agentsOfSeveralServers;
  progress(`${agents} agents that know both servers`);
  using simulator = await Simulator.start({ servers: [one, other], agents, aliasPath: ALIAS_PATH });
  await atOne.createMany(
    parseSpiffeId(`spiffe://${one.trustDomain}${ALIAS_PATH}`),
    'common',
    ENTRIES_OF_EACH,
  );
  const pushed = await failOver(simulator, one, atOther, 'watch');
  await one.restart();
  const polled = await failOver(simulator, other, atOne, 'poll');
  const count = formatCount(agents);
  rows.push(
    {
      what: `a server is killed: until its ${count} agents are in step at another`,
      value: pushed.seconds,
      unit: 's',
      reference: {
        what: `the same agents polling every ${POLL_INTERVAL_MS / 1000} s, same run`,
        value: polled.seconds,
        unit: 's',
      },
    },
    {
      what: `agents that then hold exactly what the database says, ${CHANGES_MEANWHILE} changes later`,
      value: pushed.exact,
      unit: '',
      target: count,
      reference: { what: 'polling, same run', value: polled.exact, unit: '' },
    },
  );
  return rows;
}

interface Servers {
  readonly other: LaunchedServer;
  readonly atOne: Registry;
  readonly atOther: Registry;
}

async function acrossRows(
  { creations }: ScaleSizes,
  directory: string,
  { other, atOne, atOther }: Servers,
): Promise<readonly Row[]> {
  await using agent = await launchAgent({
    server: other,
    directory,
    config: { agent: { log_level: 'INFO' } },
  });
  const parentId = parseSpiffeId(agent.spiffeId);
  const { address } = agent;
  progress(`${creations} entries created at one server, for a workload of the other`);
  const across = await pushedCreations({ registry: atOne, parentId, address, name: 'across', creations });
  progress('the same at the server of the workload');
  const own = await pushedCreations({ registry: atOther, parentId, address, name: 'own', creations });
  return [0.5, 0.99].map((share) => ({
    what: `entry created at one of two servers until its SVID is at a workload of the other: p${share * 100}`,
    value: percentile(across.totalMs, share),
    unit: 'ms',
    reference: {
      what: "created at the workload's own server, same run",
      value: percentile(own.totalMs, share),
      unit: 'ms',
    },
  }));
}

/** Entries come and go while the agents have no server. */
async function failOver(
  simulator: Simulator,
  dying: LaunchedServer,
  registry: Registry,
  manner: Manner,
): Promise<{ readonly seconds: number; readonly exact: number }> {
  const alias = parseSpiffeId(`spiffe://${dying.trustDomain}${ALIAS_PATH}`);
  await simulator.follow({ manner, overMs: manner === 'poll' ? POLL_INTERVAL_MS : 0 });
  progress(`a server is killed under ${simulator.agents} agents (${manner})`);
  const startedMs = performance.now();
  await dying.kill9();
  const ids = await registry.createMany(alias, `meanwhile-${manner}`, CHANGES_MEANWHILE - 2);
  await registry.create(alias, workloadId(`last-${manner}`), SELECTOR);
  for (const id of ids.slice(0, 1)) await registry.delete(id);
  const wanted = digestOf(await registry.idsUnder(alias));
  const exact = async (): Promise<number> => (await simulator.state()).holdings[wanted] ?? 0;
  await waitFor('the agents to be in step', async () => (await exact()) === simulator.agents, {
    limitMs: IN_STEP_LIMIT_MS,
    intervalMs: 200,
  });
  return { seconds: (performance.now() - startedMs) / 1000, exact: await exact() };
}
