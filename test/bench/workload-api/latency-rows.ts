/** How soon a workload has its identity, beside a bare grpc-js call over a Unix socket. */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@grpc/grpc-js';
import type { Row } from '../row.js';
import type { MeasuredEndpoint } from './measured-endpoint.js';
import type { WorkloadApiSizes } from './sizes.js';
import { callBare, fetchSvid, newClient } from './workload-client.js';

/** Each call is cut once it has its answer; Node.js closes a connection on which more than about 1,000 calls are cut in a row. */
const KEPT_CONNECTIONS = 64;

export async function latencyRows(
  { bareSocketPath, hashingSocketPath, socketPath }: MeasuredEndpoint,
  sizes: WorkloadApiSizes,
): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const { name, connect, path, target } of [
    { name: 'kept connections', connect: keptConnections, path: socketPath, target: '< 2 ms' },
    {
      name: 'fresh connect + attest + fetch',
      connect: freshConnections,
      path: socketPath,
      target: '< 10 ms',
    },
    {
      name: 'the same with path and sha256',
      connect: freshConnections,
      path: hashingSocketPath,
      target: '< 10 ms',
    },
  ]) {
    using bare = connect(bareSocketPath, callBare);
    using fetch = connect(path, fetchSvid);
    // In turn, so that a busy neighbour disturbs both alike.
    const reference = await atHalfLoad(bare.call, sizes);
    const ours = await atHalfLoad(fetch.call, sizes);
    rows.push(
      row(`Workload API, ${name}: p50 at half load`, 'ms', ours.p50, reference.p50),
      { ...row(`Workload API, ${name}: p99 at half load`, 'ms', ours.p99, reference.p99), target },
      row(`Workload API, ${name}: most calls`, '/s', ours.perSecond, reference.perSecond),
    );
  }
  return rows;
}

function row(what: string, unit: string, value: number, reference: number): Row {
  return { what, value, unit, reference: { what: 'bare grpc-js unary, same run', value: reference, unit } };
}

interface Connection extends Disposable {
  readonly call: () => Promise<void>;
}

type Call = (client: Client) => Promise<void>;

function keptConnections(socketPath: string, call: Call): Connection {
  const clients = Array.from({ length: KEPT_CONNECTIONS }, () => newClient(socketPath));
  let turn = 0;
  return {
    call: async () => {
      const client = clients[(turn += 1) % clients.length];
      if (client !== undefined) await call(client);
    },
    [Symbol.dispose]: () => {
      for (const client of clients) client.close();
    },
  };
}

function freshConnections(socketPath: string, call: Call): Connection {
  return {
    call: async () => {
      const client = newClient(socketPath);
      try {
        await call(client);
      } finally {
        client.close();
      }
    },
    [Symbol.dispose]: () => undefined,
  };
}

interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

/** First as many calls as it can take, then half as many, evenly spread, each one timed. */
async function atHalfLoad(call: () => Promise<void>, sizes: WorkloadApiSizes): Promise<Latencies> {
  const perSecond = await capacity(call, sizes);
  const times: number[] = [];
  const pending = new Set<Promise<void>>();
  const startMs = performance.now();
  let started = 0;
  while (performance.now() - startMs < sizes.halfLoadMs) {
    const due = ((performance.now() - startMs) / 1000) * (perSecond / 2);
    for (; started < due; started += 1) {
      const timed = time(call, times);
      pending.add(timed);
      void timed.then(() => {
        pending.delete(timed);
      });
      await nextTurn();
    }
    await sleep(1);
  }
  await Promise.all(pending);
  times.sort((left, right) => left - right);
  const percentile = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? Number.NaN;
  return { p50: percentile(0.5), p99: percentile(0.99), perSecond };
}

async function capacity(
  call: () => Promise<void>,
  { capacityMs, warmingCalls }: WorkloadApiSizes,
): Promise<number> {
  for (let warmUp = 0; warmUp < warmingCalls; warmUp += 1) await call();
  let calls = 0;
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (performance.now() - startMs < capacityMs) {
        await call();
        calls += 1;
      }
    }),
  );
  return (calls / (performance.now() - startMs)) * 1000;
}

async function time(call: () => Promise<void>, times: number[]): Promise<void> {
  const startMs = performance.now();
  await call();
  times.push(performance.now() - startMs);
}
