/** How soon a workload has its identity, and what many open streams cost, beside a bare grpc-js call over a Unix socket. */
import { fork, type ChildProcess } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import type { Answer, Question } from './workload-api/endpoint-process.js';
import type { Row } from './row.js';

const CAPACITY_MS = 2000;
const HALF_LOAD_MS = 4000;
/** Each call is cut once it has its answer; Node.js closes a connection on which more than about 1,000 calls are cut in a row. */
const KEPT_CONNECTIONS = 64;
const CONNECTIONS = 2000;
const STREAMS_PER_CONNECTION = 5;
const UPDATES = 5;

export async function measure(): Promise<Row[]> {
  using directory = createTemporaryDirectory();
  const socketPath = directory.join('agent.sock');
  const hashingSocketPath = directory.join('hashing.sock');
  const bareSocketPath = directory.join('bare.sock');
  const program = fileURLToPath(new URL('./workload-api/endpoint-process.js', import.meta.url));
  const agent = fork(program, [socketPath, hashingSocketPath, bareSocketPath]);
  try {
    await answerOf(agent, 'ready');
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
      const reference = await atHalfLoad(bare.call);
      const ours = await atHalfLoad(fetch.call);
      rows.push(
        row(`Workload API, ${name}: p50 at half load`, 'ms', ours.p50, reference.p50),
        { ...row(`Workload API, ${name}: p99 at half load`, 'ms', ours.p99, reference.p99), target },
        row(`Workload API, ${name}: most calls`, '/s', ours.perSecond, reference.perSecond),
      );
    }
    return [...rows, ...(await measureStreams(agent, socketPath))];
  } finally {
    agent.disconnect();
  }
}

function row(what: string, unit: string, value: number, reference: number): Row {
  return { what, value, unit, reference: { what: 'bare grpc-js unary, same run', value: reference, unit } };
}

interface Connection extends Disposable {
  readonly call: () => Promise<void>;
}

type Call = (client: Client) => Promise<void>;

function newClient(socketPath: string): Client {
  return new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_channelz': 0,
  });
}

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

const HEADER = new Metadata();
HEADER.set('workload.spiffe.io', 'true');
const asIs = (bytes: Buffer): Buffer => bytes;
const NOTHING = Buffer.alloc(0);

function callBare(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', asIs, asIs, NOTHING, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

function fetchSvid(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = false;
    const stream = openStream(client, () => {
      received = true;
      stream.cancel();
      resolve();
    });
    stream.on('error', (error) => {
      if (!received) reject(error);
    });
  });
}

function openStream(client: Client, onMessage: (message: Buffer) => void) {
  const method = '/SpiffeWorkloadAPI/FetchX509SVID';
  return client.makeServerStreamRequest(method, asIs, asIs, NOTHING, HEADER).on('data', onMessage);
}

interface Latencies {
  readonly p50: number;
  readonly p99: number;
  readonly perSecond: number;
}

/** First as many calls as it can take, then half as many, evenly spread, each one timed. */
async function atHalfLoad(call: () => Promise<void>): Promise<Latencies> {
  const perSecond = await capacity(call);
  const times: number[] = [];
  const pending = new Set<Promise<void>>();
  const startMs = performance.now();
  let started = 0;
  while (performance.now() - startMs < HALF_LOAD_MS) {
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

async function capacity(call: () => Promise<void>): Promise<number> {
  for (let warmUp = 0; warmUp < 500; warmUp += 1) await call();
  let calls = 0;
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (performance.now() - startMs < CAPACITY_MS) {
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

async function measureStreams(agent: ChildProcess, socketPath: string): Promise<Row[]> {
  const streams = CONNECTIONS * STREAMS_PER_CONNECTION;
  const before = await ask(agent, 'memory', 'memory');
  const clients = Array.from({ length: CONNECTIONS }, () => newClient(socketPath));
  let received = 0;
  let onMessage = (): void => undefined;
  let onError: (error: Error) => void;
  const allReceived = async (): Promise<void> => {
    received = 0;
    await new Promise<void>((resolve, reject) => {
      onMessage = () => {
        if ((received += 1) === streams) resolve();
      };
      onError = reject;
    });
  };
  try {
    const opened = allReceived();
    for (const client of clients) {
      for (let index = 0; index < STREAMS_PER_CONNECTION; index += 1) {
        openStream(client, () => {
          onMessage();
        }).on('error', (error) => {
          onError(error);
        });
      }
      await nextTurn();
    }
    await opened;
    const open = await ask(agent, 'memory', 'memory');
    const toldMs: number[] = [];
    const arrivedMs: number[] = [];
    for (let update = 0; update < UPDATES; update += 1) {
      const arrived = allReceived();
      const startMs = performance.now();
      toldMs.push((await ask(agent, 'update', 'updated')).ms);
      await arrived;
      arrivedMs.push(performance.now() - startMs);
    }
    const after = await ask(agent, 'memory', 'memory');
    const what = `${streams.toLocaleString('en')} streams on ${CONNECTIONS.toLocaleString('en')} connections`;
    const memory = Math.max(open.bytes, after.bytes);
    return [
      { what: `agent memory with ${what}`, value: memory / 1e6, unit: 'MB', target: '< 500 MB' },
      { what: 'agent memory of each stream', value: (memory - before.bytes) / streams / 1000, unit: 'kB' },
      {
        what: 'update until the last of these streams has it',
        value: median(arrivedMs),
        unit: 'ms',
        target: '< 500 ms',
      },
      { what: 'of it, until the agent has written to all', value: median(toldMs), unit: 'ms' },
    ];
  } finally {
    for (const client of clients) client.close();
  }
}

async function ask<Kind extends Answer['kind']>(agent: ChildProcess, question: Question, kind: Kind) {
  const answer = answerOf(agent, kind);
  agent.send(question);
  return await answer;
}

function answerOf<Kind extends Answer['kind']>(
  agent: ChildProcess,
  kind: Kind,
): Promise<Extract<Answer, { kind: Kind }>> {
  return new Promise((resolve, reject) => {
    agent.once('exit', reject);
    agent.once('message', (answer: Extract<Answer, { kind: Kind }>) => {
      agent.off('exit', reject);
      if (answer.kind === kind) resolve(answer);
      else reject(new Error(`the agent answered ${answer.kind} instead of ${kind}`));
    });
  });
}

function median(values: readonly number[]): number {
  return [...values].sort((left, right) => left - right)[Math.floor(values.length / 2)] ?? Number.NaN;
}
