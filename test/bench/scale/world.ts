/** One server with its database file, many simulated agents, and a real agent whose workload is in this process. */
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { progress } from '../measuring/progress.js';
import { launchProbedServer, type ProbedServer } from '../simulator/probed-server.js';
import { Registry } from '../simulator/registry.js';
import { Simulator } from '../simulator/simulator.js';
import type { ScaleSizes } from './sizes.js';

export const ALIAS_PATH = '/fleet';
/** Of the workload in this process. */
export const SELECTOR = `unix:uid:${process.getuid?.() ?? -1}`;

export interface World {
  readonly sizes: ScaleSizes;
  readonly probed: ProbedServer;
  readonly agent: LaunchedAgent;
  readonly simulator: Simulator;
  readonly registry: Registry;
  /** Under which an entry is one of all simulated agents. */
  readonly alias: SpiffeId;
}

/** Everything is gone again when the work is done. */
export async function inWorld<T>(sizes: ScaleSizes, work: (world: World) => Promise<T>): Promise<T> {
  using directory = createTemporaryDirectory();
  progress(`a server, and ${sizes.agents} agents that it attests`);
  const probed = await launchProbedServer({ directory: directory.path });
  await using server = probed.server;
  await using agent = await launchAgent({
    server,
    directory: directory.path,
    config: { agent: { log_level: 'INFO' } },
  });
  using simulator = await Simulator.start({
    servers: [server],
    agents: sizes.agents,
    aliasPath: ALIAS_PATH,
  });
  using registry = new Registry(server.socketPath);
  const alias = parseSpiffeId(`spiffe://${server.trustDomain}${ALIAS_PATH}`);
  await registry.createMany(alias, 'common', sizes.entriesOfEach);
  await simulator.follow({ manner: 'watch', isFresh: true });
  return await work({ sizes, probed, agent, simulator, registry, alias });
}

export function workloadId(name: string): SpiffeId {
  return parseSpiffeId(`spiffe://example.org/bench/${name}`);
}

export function formatCount(count: number): string {
  return count.toLocaleString('en');
}
