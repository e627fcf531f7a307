/** What many open streams cost the agent, and how soon all of them have what is new: those of the Workload API, and Envoys' over SDS. */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { SECRET_TYPE_URL } from '@bonafide/agent/sds/secret';
import type { DiscoveryResponse__Output } from '@bonafide/shared/rpc/gen/envoy/service/discovery/v3/DiscoveryResponse';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { credentials } from '@grpc/grpc-js';
import { median } from '../measuring/median.js';
import type { Row } from '../row.js';
import { Arrivals } from './arrivals.js';
import type { MeasuredEndpoint } from './measured-endpoint.js';
import type { WorkloadApiSizes } from './sizes.js';
import { LONE_CONNECTION, newClient, openStream } from './workload-client.js';

const SECRETS = { typeUrl: SECRET_TYPE_URL, resourceNames: ['default', 'ROOTCA'] };

/** Opens a connection of its own with so many streams. @returns what closes it. */
type Connect = (socketPath: string, streams: number, arrivals: Arrivals) => () => void;

export async function streamRows(
  endpoint: MeasuredEndpoint,
  { connections, streamsPerConnection, updates }: WorkloadApiSizes,
): Promise<readonly Row[]> {
  const streams = connections * streamsPerConnection;
  const { beforeBytes, memoryBytes, arrivedMs, toldMs } = await updatesOf(endpoint, connectWorkload, {
    connections,
    streamsPerConnection,
    updates,
  });
  const what = `${streams.toLocaleString('en')} streams on ${connections.toLocaleString('en')} connections`;
  return [
    { what: `agent memory with ${what}`, value: memoryBytes / 1e6, unit: 'MB', target: '< 500 MB' },
    { what: 'agent memory of each stream', value: (memoryBytes - beforeBytes) / streams / 1000, unit: 'kB' },
    {
      what: 'update until the last of these streams has it',
      value: arrivedMs,
      unit: 'ms',
      target: '< 500 ms',
    },
    { what: 'of it, until the agent has written to all', value: toldMs, unit: 'ms' },
  ];
}

export async function secretRows(
  endpoint: MeasuredEndpoint,
  { secretStreams, updates }: WorkloadApiSizes,
): Promise<readonly Row[]> {
  const sizes = { connections: secretStreams, streamsPerConnection: 1, updates };
  const workloads = await updatesOf(endpoint, connectWorkload, sizes);
  const envoys = await updatesOf(endpoint, connectEnvoy, sizes);
  const count = secretStreams.toLocaleString('en');
  return [
    {
      what: `secrets pushed over SDS: update until the last of ${count} streams has it`,
      value: envoys.arrivedMs,
      unit: 'ms',
      reference: {
        what: `as many streams of the Workload API, same run`,
        value: workloads.arrivedMs,
        unit: 'ms',
      },
    },
  ];
}

interface Sizes {
  readonly connections: number;
  readonly streamsPerConnection: number;
  readonly updates: number;
}

interface Updates {
  readonly beforeBytes: number;
  /** With all streams open, before or after the updates, whichever is more. */
  readonly memoryBytes: number;
  readonly arrivedMs: number;
  readonly toldMs: number;
}

async function updatesOf(
  endpoint: MeasuredEndpoint,
  connect: Connect,
  { connections, streamsPerConnection, updates }: Sizes,
): Promise<Updates> {
  const beforeBytes = await endpoint.memoryBytes();
  const arrivals = new Arrivals(connections * streamsPerConnection);
  const opened = arrivals.onAll();
  const closers: (() => void)[] = [];
  try {
    for (let index = 0; index < connections; index += 1) {
      closers.push(connect(endpoint.socketPath, streamsPerConnection, arrivals));
      await nextTurn();
    }
    await opened;
    const openBytes = await endpoint.memoryBytes();
    const toldMs: number[] = [];
    const arrivedMs: number[] = [];
    for (let update = 0; update < updates; update += 1) {
      const arrived = arrivals.onAll();
      const startMs = performance.now();
      toldMs.push(await endpoint.update());
      await arrived;
      arrivedMs.push(performance.now() - startMs);
    }
    const memoryBytes = Math.max(openBytes, await endpoint.memoryBytes());
    return { beforeBytes, memoryBytes, arrivedMs: median(arrivedMs), toldMs: median(toldMs) };
  } finally {
    for (const close of closers) close();
  }
}

function connectWorkload(socketPath: string, streams: number, arrivals: Arrivals): () => void {
  const client = newClient(socketPath);
  for (let index = 0; index < streams; index += 1) {
    openStream(client, () => {
      arrivals.count();
    }).on('error', (error) => {
      arrivals.fail(error);
    });
  }
  return () => {
    client.close();
  };
}

/** Its own SVID and bundle, by the names that need no configuration; each message is acknowledged, as Envoy does. */
function connectEnvoy(socketPath: string, streams: number, arrivals: Arrivals): () => void {
  const { Client } = loadService('envoy.service.secret.v3.SecretDiscoveryService');
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), LONE_CONNECTION);
  for (let index = 0; index < streams; index += 1) {
    const stream = client.StreamSecrets();
    const ask = (versionInfo: string, responseNonce: string): void => {
      stream.write({ ...SECRETS, versionInfo, responseNonce });
    };
    stream
      .on('data', ({ versionInfo, nonce }: DiscoveryResponse__Output) => {
        ask(versionInfo, nonce);
        arrivals.count();
      })
      .on('error', (error) => {
        arrivals.fail(error);
      });
    ask('', '');
  }
  return () => {
    client.close();
  };
}
