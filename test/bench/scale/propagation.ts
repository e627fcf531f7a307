/** How soon a new entry is an SVID in its workload's hands while many agents are connected, and when an agent that polls has it. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { pollEntries } from '@bonafide/agent/sync/poll-entries';
import { WorkloadApiClient } from '@bonafide/sdk';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { percentile } from '../measuring/percentile.js';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import { Arrivals } from '../simulator/arrivals.js';
import { attestAgents, connectTo, type AgentsServer } from '../simulator/attest-agents.js';
import type { Registry } from '../simulator/registry.js';
import { POLL_INTERVAL_MS } from '../simulator/simulated-agent.js';
import type { Simulator } from '../simulator/simulator.js';
import { formatCount, SELECTOR, workloadId, type World } from './world.js';

const CREATIONS_A_SECOND = 10;
const POLLED_CREATIONS_MS = 10_000;

export interface Latencies {
  readonly pushedMs: readonly number[];
  readonly polledMs: readonly number[];
}

export async function propagationRows(
  world: World,
): Promise<{ readonly rows: readonly Row[]; readonly latencies: Latencies }> {
  const { sizes, registry, agent, simulator, probed } = world;
  await simulator.follow({ manner: 'watch' });
  progress(`${sizes.creations} entries created, each followed to its workload`);
  const pushed = await pushedCreations({
    registry,
    parentId: parseSpiffeId(agent.spiffeId),
    address: agent.address,
    name: 'pushed',
    creations: sizes.creations,
  });
  progress(`${sizes.fanOuts} entries of all agents`);
  const fanOuts = await fanOut(world, simulator);
  progress(`${sizes.polledCreations} entries of an agent that polls`);
  const polledMs = await polledCreations(registry, probed.server, sizes.polledCreations);

  const agents = `${formatCount(sizes.agents)} agents`;
  const everyFew = `an agent polling every ${POLL_INTERVAL_MS / 1000} s, same run`;
  const row = (what: string, value: number, more: Partial<Row> = {}): Row => ({
    what,
    value,
    unit: 'ms',
    ...more,
  });
  const polled = (share: number): NonNullable<Row['reference']> => ({
    what: everyFew,
    value: percentile(polledMs, share),
    unit: 'ms',
  });
  const created = `entry created until its SVID is at the workload, ${agents}`;
  const ofAll = `entry of all ${agents} created until the last has it`;
  const rows = [
    row(`${created}: p50`, percentile(pushed.totalMs, 0.5), { reference: polled(0.5) }),
    row(`${created}: p99`, percentile(pushed.totalMs, 0.99), {
      target: '< 250 ms',
      reference: polled(0.99),
    }),
    row('of it, until the server has answered: p50', percentile(pushed.answeredMs, 0.5)),
    row('of it, until the server has answered: p99', percentile(pushed.answeredMs, 0.99)),
    row(`${ofAll}: median`, percentile(fanOuts, 0.5)),
    row(`${ofAll}: worst of ${sizes.fanOuts}`, percentile(fanOuts, 1)),
  ];
  return { rows, latencies: { pushedMs: pushed.totalMs, polledMs } };
}

export interface PushedCreations {
  /** From just before the call until the SDK of the workload has the SVID. */
  readonly totalMs: readonly number[];
  /** From just before the call until its answer. */
  readonly answeredMs: readonly number[];
}

/** Entries of one real agent at a steady rate, whether or not the ones before have arrived; each is deleted again when it has. */
export async function pushedCreations({
  registry,
  parentId,
  address,
  name,
  creations,
}: {
  readonly registry: Registry;
  readonly parentId: SpiffeId;
  /** Of the agent's Workload API. */
  readonly address: string;
  /** Distinguishes these entries from others under the same agent. */
  readonly name: string;
  readonly creations: number;
}): Promise<PushedCreations> {
  const arrivals = new Arrivals();
  const client = new WorkloadApiClient({ address });
  const failures: Error[] = [];
  const first = workloadId(`${name}/first`);
  const firstArrival = arrivals.of(first);
  await registry.create(parentId, first, SELECTOR); // the stream must not end for want of any SVID
  const watching = client.watchX509Context({
    onUpdate: ({ svids }) => {
      arrivals.see(svids.map(({ spiffeId }) => spiffeId));
    },
    onError: (error) => failures.push(error),
  });
  await firstArrival;
  failures.length = 0;
  const totalMs: number[] = [];
  const answeredMs: number[] = [];
  await atSteadyRate(creations, 1000 / CREATIONS_A_SECOND, async (index) => {
    const spiffeId = workloadId(`${name}/${index}`);
    const arrival = arrivals.of(spiffeId);
    const startedMs = performance.now();
    const id = await registry.create(parentId, spiffeId, SELECTOR);
    answeredMs.push(performance.now() - startedMs);
    totalMs.push((await arrival) - startedMs);
    await registry.delete(id);
  });
  client.close();
  await watching;
  const [failure] = failures;
  if (failure !== undefined) throw failure;
  return { totalMs, answeredMs };
}

async function fanOut({ registry, alias, sizes }: World, simulator: Simulator): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < sizes.fanOuts; index += 1) {
    const spiffeId = workloadId(`shared/${index}`);
    const startedMs = performance.timeOrigin + performance.now();
    const id = await registry.create(alias, spiffeId, SELECTOR);
    times.push(Math.max(...(await simulator.arrivals(spiffeId))) - startedMs);
    await registry.delete(id);
  }
  return times;
}

/** How SPIRE's agent hears of entries, of our own server; its SVIDs would only come after that. */
async function polledCreations(
  registry: Registry,
  server: AgentsServer,
  creations: number,
): Promise<readonly number[]> {
  const { authorities, identities } = await attestAgents(server, 1);
  const [identity] = identities;
  if (identity === undefined) throw new Error('no agent that polls');
  const poller: ServerConnection = connectTo([server]);
  poller.trust(authorities);
  poller.identify(identity);
  const arrivals = new Arrivals();
  const end = new AbortController();
  const polling = (async () => {
    while (!end.signal.aborted) {
      const { entries } = await pollEntries({
        channel: poller.channel(),
        known: () => undefined,
        log: silentLogger,
        signal: new AbortController().signal,
      });
      arrivals.see(entries.map(({ spiffeId }) => spiffeId));
      await sleep(POLL_INTERVAL_MS, undefined, { signal: end.signal }).catch(() => undefined); // it ends with the measurement
    }
  })();
  const times = await Promise.all(
    Array.from({ length: creations }, async (_, index) => {
      await sleep(Math.random() * POLLED_CREATIONS_MS);
      const spiffeId = workloadId(`polled/${index}`);
      const arrival = arrivals.of(spiffeId);
      const startedMs = performance.now();
      await registry.create(identity.spiffeId, spiffeId, SELECTOR);
      return (await arrival) - startedMs;
    }),
  );
  end.abort();
  await polling;
  poller.close();
  return times;
}

async function atSteadyRate(
  count: number,
  intervalMs: number,
  work: (index: number) => Promise<void>,
): Promise<void> {
  const startedMs = performance.now();
  await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      await sleep(Math.max(0, startedMs + index * intervalMs - performance.now()));
      await work(index);
    }),
  );
}
