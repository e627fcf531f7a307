/** A large estate: what thousands of agents and a million entries cost a server that pushes, beside the same agents polling it. */
import type { BenchOptions } from './measuring/bench-options.js';
import { progress } from './measuring/progress.js';
import { agentsRows } from './scale/agents.js';
import { drawCharts } from './scale/charts.js';
import { propagationRows, type Latencies } from './scale/propagation.js';
import { restartRows } from './scale/restart.js';
import { rotationRows } from './scale/rotation.js';
import { severalServersRows } from './scale/several-servers.js';
import { FULL, QUICK } from './scale/sizes.js';
import { startRows } from './scale/start.js';
import { inWorld, type World } from './scale/world.js';
import type { Row } from './row.js';

const PARTS_OF_ONE_WORLD = ['propagation', 'agents', 'restart', 'rotation'] as const;
const PARTS = [...PARTS_OF_ONE_WORLD, 'start', 'several-servers'] as const;

type Part = (typeof PARTS)[number];

export async function measure(options: BenchOptions): Promise<Row[]> {
  const unknown = options.only.filter((name) => !PARTS.some((part) => part === name));
  if (unknown.length > 0) {
    throw new Error(`scale has no part ${unknown.join(', ')}; there are: ${PARTS.join(', ')}`);
  }
  const sizes = options.isQuick ? QUICK : FULL;
  const isWanted = (part: Part): boolean => options.only.length === 0 || options.only.includes(part);
  const rows: Row[] = [];
  const add = async (part: string, work: () => Promise<readonly Row[]>): Promise<void> => {
    try {
      rows.push(...(await work()));
    } catch (error) {
      // What else was measured in minutes must not be lost with it.
      progress(`${part} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      process.exitCode = 1;
    }
  };
  if (PARTS_OF_ONE_WORLD.some(isWanted)) {
    await add('one server', () =>
      inWorld(sizes, async (world) => {
        await measureOneWorld(world, isWanted, add, options);
        return [];
      }),
    );
  }
  if (isWanted('start')) await add('start', () => startRows(sizes, options.cacheDirectory));
  if (isWanted('several-servers')) await add('several-servers', () => severalServersRows(sizes));
  if (rows.length === 0) throw new Error('nothing was measured');
  return rows;
}

async function measureOneWorld(
  world: World,
  isWanted: (part: Part) => boolean,
  add: (part: Part, work: () => Promise<readonly Row[]>) => Promise<void>,
  { chart }: BenchOptions,
): Promise<void> {
  let latencies: Latencies | undefined;
  if (isWanted('propagation')) {
    await add('propagation', async () => {
      const measured = await propagationRows(world);
      latencies = measured.latencies;
      return measured.rows;
    });
  }
  if (isWanted('agents')) {
    await add('agents', async () => {
      const { rows, loads } = await agentsRows(world);
      if (latencies !== undefined) drawCharts(chart, { latencies, loads });
      return rows;
    });
  }
  if (isWanted('restart')) await add('restart', () => restartRows(world));
  if (isWanted('rotation')) await add('rotation', () => rotationRows(world));
  const { failures, lastFailure = 'none' } = await world.simulator.state();
  progress(`the agents tried again ${failures} times in all; the last reason: ${lastFailure}`);
}
