/** All agents begin anew at once, as after a power cut: how long until each has what is its own, and what it does to the server. */
import { setTimeout as sleep } from 'node:timers/promises';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import type { ServerCost } from '../simulator/probed-server.js';
import type { Manner } from '../simulator/simulator-order.js';
import { formatCount, type World } from './world.js';

/** For the server to notice that they have gone. */
const GONE_MS = 2_000;

export async function restartRows(world: World): Promise<readonly Row[]> {
  const { sizes, simulator } = world;
  const before = (await simulator.state()).turnedAway;
  const watching = await restart(world, 'watch', true);
  const resuming = await restart(world, 'watch', false);
  const turnedAway = (await simulator.state()).turnedAway - before;
  const polling = await restart(world, 'poll', true);
  const row = (what: string, unit: string, of: (cost: ServerCost) => number, target?: string): Row => ({
    what,
    value: of(watching),
    unit,
    ...(target === undefined ? {} : { target }),
    reference: { what: 'the same agents, polling, same run', value: of(polling), unit },
  });
  const all = `${formatCount(sizes.agents)} agents restart at once`;
  return [
    row(`${all}: until all hold their ${sizes.entriesOfEach} entries`, 's', ({ seconds }) => seconds),
    {
      what: 'the same with their position in the log still on their disks',
      value: resuming.seconds,
      unit: 's',
      reference: { what: 'without, same run', value: watching.seconds, unit: 's' },
    },
    row('of it, server time', 's', (cost) => cost.processorSeconds),
    row('event loop of the server meanwhile: p99', 'ms', (cost) => cost.loopP99Ms),
    row('event loop of the server meanwhile: longest stall', 'ms', (cost) => cost.loopMaxMs),
    row('peak memory of the server', 'MB', (cost) => cost.peakMb),
    { what: 'agents asked to come again later', value: turnedAway, unit: '' },
  ];
}

async function restart({ probed, simulator }: World, manner: Manner, isFresh: boolean): Promise<ServerCost> {
  progress(`all agents restart (${manner}${isFresh ? ', with nothing' : ', where they were'})`);
  await simulator.stop();
  await sleep(GONE_MS);
  return probed.costOf(() => simulator.follow({ manner, isFresh }), { isLoopWatched: true });
}
