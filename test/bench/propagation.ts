/** How soon a new entry is an SVID in its workload's hands while a thousand agents are connected, and what these cost, beside polling. */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerConnection } from '@bonafide/agent/agent-identity/server-connection';
import { pollEntries } from '@bonafide/agent/sync/poll-entries';
import { WorkloadApiClient } from '@bonafide/sdk';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { launchServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { Arrivals } from './propagation/arrivals.js';
import { attestNodes } from './propagation/attest-nodes.js';
import { Fleet } from './propagation/fleet.js';
import { processorShare } from './propagation/processor-time.js';
import { Registry } from './propagation/registry.js';
import { statementsPerChange } from './propagation/store-statements.js';
import type { Row } from './row.js';

const AGENTS = 1000;
const ALIAS_PATH = '/fleet';
const CREATIONS = 250;
const CREATIONS_A_SECOND = 10;
const FAN_OUTS = 10;
const IDLE_MS = 20_000; // an agent sees every 20 s whether the server is still there
const SETTLE_MS = 2_000;
/** As SPIRE's agent. */
const POLL_INTERVAL_MS = 5_000;
const POLLED_CREATIONS = 16;
const POLLED_CREATIONS_MS = 10_000;

const SELECTOR = `unix:uid:${process.getuid?.() ?? -1}`;

export async function measure(): Promise<Row[]> {
  using directory = createTemporaryDirectory();
  const quiet = { log_level: 'INFO' };
  await using server = await launchServer({
    directory: directory.path,
    config: { server: { ...quiet, ratelimit: { attestation: false, signing: false } } },
  });
  await using agent = await launchAgent({ server, directory: directory.path, config: { agent: quiet } });
  using fleet = await Fleet.start({
    server: { trustDomain: server.trustDomain, port: server.port, socketPath: server.socketPath },
    agents: AGENTS,
    aliasPath: ALIAS_PATH,
  });
  using registry = new Registry(server.socketPath);

  await sleep(SETTLE_MS);
  const idle = await processorShare(server.process.pid, () => sleep(IDLE_MS));
  const polling = await processorShare(server.process.pid, () => fleet.poll(POLL_INTERVAL_MS));
  const pushed = await pushedCreations(registry, parseSpiffeId(agent.spiffeId), agent.address);
  const fanOuts = await fanOut(registry, fleet);
  const [poller] = await attestNodes(server, 1);
  if (poller === undefined) throw new Error('no agent that polls');
  const polled = await polledCreations(registry, poller);

  const reference = (what: string, value: number, unit: string): NonNullable<Row['reference']> => ({
    what: `${what}, same run`,
    value,
    unit,
  });
  const agents = `${AGENTS.toLocaleString('en')} agents`;
  const everyFew = `polling every ${POLL_INTERVAL_MS / 1000} s`;
  return [
    {
      what: `entry created until its SVID is at the workload, ${agents}: p50`,
      value: percentile(pushed.totalMs, 0.5),
      unit: 'ms',
      reference: reference(everyFew, percentile(polled, 0.5), 'ms'),
    },
    {
      what: `entry created until its SVID is at the workload, ${agents}: p99`,
      value: percentile(pushed.totalMs, 0.99),
      unit: 'ms',
      target: '< 250 ms',
      reference: reference(`${everyFew}, worst of ${POLLED_CREATIONS}`, percentile(polled, 1), 'ms'),
    },
    {
      what: 'of it, until the server has answered: p50',
      value: percentile(pushed.answeredMs, 0.5),
      unit: 'ms',
    },
    {
      what: `of it, until the server has answered: p99`,
      value: percentile(pushed.answeredMs, 0.99),
      unit: 'ms',
    },
    {
      what: `entry of all ${agents} created until the last has it: median`,
      value: percentile(fanOuts, 0.5),
      unit: 'ms',
    },
    {
      what: `entry of all ${agents} created until the last has it: worst of ${FAN_OUTS}`,
      value: percentile(fanOuts, 1),
      unit: 'ms',
    },
    {
      what: `idle cost of ${agents}`,
      value: idle,
      unit: '% of a core',
      target: '< 1 %',
      reference: reference(everyFew, polling, '%'),
    },
    {
      what: `SQL statements of a change that concerns ${agents}`,
      value: await statementsPerChange(AGENTS),
      unit: '',
      target: 'as for 10',
      reference: reference('10 agents', await statementsPerChange(10), ''),
    },
  ];
}

interface PushedCreations {
  /** From just before the call until the SDK of the workload has the SVID. */
  readonly totalMs: readonly number[];
  /** From just before the call until its answer. */
  readonly answeredMs: readonly number[];
}

/** Entries of one real agent at a steady rate, whether or not the ones before have arrived; each is deleted again when it has. */
async function pushedCreations(
  registry: Registry,
  parentId: SpiffeId,
  address: string,
): Promise<PushedCreations> {
  const arrivals = new Arrivals();
  const client = new WorkloadApiClient({ address });
  const failures: Error[] = [];
  const first = workloadId('first');
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
  await atSteadyRate(CREATIONS, 1000 / CREATIONS_A_SECOND, async (index) => {
    const spiffeId = workloadId(`pushed/${index}`);
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

async function fanOut(registry: Registry, fleet: Fleet): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < FAN_OUTS; index += 1) {
    const spiffeId = workloadId(`shared/${index}`);
    const { delivered } = await fleet.expect(spiffeId);
    const startedMs = performance.now();
    await registry.create(parseSpiffeId(`spiffe://example.org${ALIAS_PATH}`), spiffeId, SELECTOR);
    await delivered;
    times.push(performance.now() - startedMs);
  }
  return times;
}

/** How SPIRE's agent hears of entries, of our own server; its SVIDs would only come after that. */
async function polledCreations(registry: Registry, poller: ServerConnection): Promise<readonly number[]> {
  const arrivals = new Arrivals();
  const end = new AbortController();
  const agentId = poller.channel().identity?.spiffeId;
  if (agentId === undefined) throw new Error('the agent that polls has no identity');
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
    Array.from({ length: POLLED_CREATIONS }, async (_, index) => {
      await sleep(Math.random() * POLLED_CREATIONS_MS);
      const spiffeId = workloadId(`polled/${index}`);
      const arrival = arrivals.of(spiffeId);
      const startedMs = performance.now();
      await registry.create(agentId, spiffeId, SELECTOR);
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

function workloadId(name: string): SpiffeId {
  return parseSpiffeId(`spiffe://example.org/bench/${name}`);
}

function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.ceil((sorted.length - 1) * share)] ?? Number.NaN;
}
