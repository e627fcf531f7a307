/** What connected agents cost while nothing changes, and what a change costs, by their number: watching, and polling as SPIRE's agents do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import type { ServerCost } from '../simulator/probed-server.js';
import { POLL_INTERVAL_MS } from '../simulator/simulated-agent.js';
import { formatCount, SELECTOR, workloadId, type World } from './world.js';

const SETTLE_MS = 2_000;
const CHANGES = 5;

export interface AgentsLoad {
  readonly agents: number;
  readonly watching: ServerCost;
  readonly polling: ServerCost;
  /** Of each change, from its creation until all agents have it. */
  readonly statementsPerChange: number;
}

export async function agentsRows(
  world: World,
): Promise<{ readonly rows: readonly Row[]; readonly loads: readonly AgentsLoad[] }> {
  const loads: AgentsLoad[] = [];
  for (const agents of world.sizes.agentCounts) loads.push(await loadOf(world, agents));
  const most = loads.at(-1);
  if (most === undefined) return { rows: [], loads };
  const { agents, watching, polling } = most;
  const everyFew = `the same agents polling every ${POLL_INTERVAL_MS / 1000} s, same run`;
  const idle = `${formatCount(agents)} idle agents`;
  const rows: Row[] = [
    {
      what: `server with ${idle}`,
      value: watching.processorPercent,
      unit: '% of a core',
      target: '< 1 %',
      reference: { what: everyFew, value: polling.processorPercent, unit: '%' },
    },
    {
      what: `SQL statements in a minute with ${idle}`,
      value: aMinute(watching),
      unit: '',
      target: '0',
      reference: { what: everyFew, value: aMinute(polling), unit: '' },
    },
    ...loads.map(({ agents: count, statementsPerChange, polling: polled }) => ({
      what: `SQL statements of a change that concerns ${formatCount(count)} agents`,
      value: statementsPerChange,
      unit: '',
      target: 'the same for any number',
      reference: {
        what: 'until each of them has polled once, same run',
        value: (polled.statements / polled.seconds) * (POLL_INTERVAL_MS / 1000),
        unit: '',
      },
    })),
    {
      what: 'server time of an agent in a minute',
      value: (watching.processorPercent * 600) / agents,
      unit: 'ms',
      reference: { what: everyFew, value: (polling.processorPercent * 600) / agents, unit: 'ms' },
    },
  ];
  return { rows, loads };
}

async function loadOf(
  { sizes, simulator, probed, registry, alias }: World,
  agents: number,
): Promise<AgentsLoad> {
  const isMost = agents === sizes.agentCounts.at(-1);
  progress(`${agents} agents watch`);
  await simulator.follow({ agents, manner: 'watch' });
  await sleep(SETTLE_MS);
  const watching = await probed.costOf(() => sleep(isMost ? sizes.longIdleMs : sizes.idleMs));
  const ids: string[] = [];
  const changing = await probed.costOf(async () => {
    for (let change = 0; change < CHANGES; change += 1) {
      const spiffeId = workloadId(`change/${agents}/${change}`);
      ids.push(await registry.create(alias, spiffeId, SELECTOR));
      await simulator.arrivals(spiffeId);
    }
  });
  for (const id of ids) await registry.delete(id);

  progress(`${agents} agents poll`);
  await simulator.follow({ agents, manner: 'poll', overMs: POLL_INTERVAL_MS });
  const polling = await probed.costOf(() => sleep(sizes.polledMs));
  return {
    agents,
    watching,
    polling,
    statementsPerChange: changing.statements / CHANGES,
  };
}

function aMinute({ statements, seconds }: ServerCost): number {
  return Math.round((statements * 60) / seconds);
}
