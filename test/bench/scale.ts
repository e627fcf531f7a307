/** A large estate: what thousands of agents and a million entries cost a server that pushes, beside the same agents polling it. */
import type { BenchOptions } from './measuring/bench-options.js';
import { progress } from './measuring/progress.js';
import { agentsRows } from './scale/agents.js';
import { drawCharts } from './scale/charts.js';
import { propagationRows } from './scale/propagation.js';
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
  if (PARTS_OF_ONE_WORLD.some(isWanted)) {
    rows.push(...(await inWorld(sizes, (world) => rowsOfOneWorld(world, isWanted, options))));
  }
  if (isWanted('start')) rows.push(...(await startRows(sizes, options.cacheDirectory)));
  if (isWanted('several-servers')) rows.push(...(await severalServersRows(sizes)));
  return rows;
}

async function rowsOfOneWorld(
  world: World,
  isWanted: (part: Part) => boolean,
  { chart }: BenchOptions,
): Promise<readonly Row[]> {
  const propagation = isWanted('propagation') ? await propagationRows(world) : undefined;
  const agents = isWanted('agents') ? await agentsRows(world) : undefined;
  if (propagation !== undefined && agents !== undefined) {
    drawCharts(chart, { latencies: propagation.latencies, loads: agents.loads });
  }
  const rows = [...(propagation?.rows ?? []), ...(agents?.rows ?? [])];
  if (isWanted('restart')) rows.push(...(await restartRows(world)));
  if (isWanted('rotation')) rows.push(...(await rotationRows(world)));
  const { failures, lastFailure = 'none' } = await world.simulator.state();
  progress(`the agents tried again ${failures} times in all; the last reason: ${lastFailure}`);
  return rows;
}
