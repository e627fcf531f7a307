import { existsSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import type { ReportResponse__Output as ReportResponse } from '@bonafide/shared/rpc/gen/bonafide/agent/v1/ReportResponse';
import { loadService, type ServiceClient } from '@bonafide/shared/rpc/load-service';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { credentials } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NodeSurvival } from '../survival/node-survival.js';
import { sampleEntry, sampleSvid } from '../svid-cache/cache-samples.js';
import { AdminEndpoint } from './admin-endpoint.js';
import { addSurvivalService } from './admin-survival.js';

const SERVICE = 'bonafide.agent.v1.Survival';

function survivalOfMany(count: number): NodeSurvival {
  const entries = Array.from({ length: count }, (_, index) => sampleEntry(`web-${index}`, ['unix:uid:1']));
  return new NodeSurvival({
    cache: {
      holdings: () => entries.map((entry) => ({ entry, svid: sampleSvid(entry), isInUse: false })),
      bundle: () => undefined,
    },
    keeper: { svid: undefined, canAttestAgain: true },
    sync: { isConnected: false, lastSyncAt: undefined },
    connection: { address: { host: '::1', port: 8081 } },
    jwtSvids: { usableUntil: () => new Map() },
    witSvids: { svid: () => undefined },
    targetSeconds: undefined,
    clock: systemClock,
  });
}

/** However it came to its end. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => {
      resolve();
    });
  });
}

describe('AdminEndpoint', () => {
  let directory: TemporaryDirectory;
  let socketPath: string;
  let endpoints: AdminEndpoint[];
  let clients: ServiceClient<typeof SERVICE>[];

  beforeEach(() => {
    directory = createTemporaryDirectory();
    socketPath = directory.join('admin', 'admin.sock');
    endpoints = [];
    clients = [];
  });
  afterEach(() => {
    for (const client of clients) client.close();
    for (const endpoint of endpoints) endpoint.close();
    directory.remove();
  });

  async function listen(workloads: number): Promise<AdminEndpoint> {
    const survival = survivalOfMany(workloads);
    const endpoint = new AdminEndpoint({
      socketPath,
      services: [
        (server) => {
          addSurvivalService(server, { survival, log: silentLogger });
        },
      ],
      clock: systemClock,
      log: silentLogger,
    });
    endpoints.push(endpoint);
    await endpoint.listen();
    return endpoint;
  }

  function createClient(): ServiceClient<typeof SERVICE> {
    const { Client } = loadService(SERVICE);
    const client = new Client(`unix:${socketPath}`, credentials.createInsecure());
    clients.push(client);
    return client;
  }

  const report = (): AsyncIterable<ReportResponse> =>
    openServerStream(createClient(), 'Report', {}, { deadlineMs: 30_000 });

  async function connected(): Promise<Socket> {
    const socket = connect(socketPath);
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }

  it('is a socket for its owner in a folder for its owner, and leaves nothing behind', async () => {
    const endpoint = await listen(0);
    expect(statSync(socketPath).mode & 0o777).toBe(0o600);
    expect(statSync(directory.join('admin')).mode & 0o777).toBe(0o700);
    const socket = await connected();
    endpoint.close();
    await closed(socket);
    expect(existsSync(socketPath)).toBe(false);
    endpoint.close();
  });

  it('tells of the agent first, then of as many workloads as there are, however slowly they are read', async () => {
    await listen(5_000);
    let index = 0;
    for await (const { agent, workload } of report()) {
      if (index === 0)
        expect(agent).toMatchObject({ agentId: '', serverAddress: '[::1]:8081', canAttest: true });
      else expect(workload?.cause).toBe('BUNDLE_EXPIRES');
      if (index % 1_000 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
      index += 1;
    }
    expect(index).toBe(5_001);
  });

  it('goes on serving after callers that leave in the middle or talk nonsense', async () => {
    await listen(2_000);
    for (let caller = 0; caller < 5; caller += 1) {
      for await (const message of report()) if (message.workload) break;
    }
    const socket = await connected();
    socket.end(Buffer.alloc(1_000_000, 'nonsense'));
    await closed(socket);
    const seen: ReportResponse[] = [];
    for await (const message of report()) seen.push(message);
    expect(seen).toHaveLength(2_001);
  });

  it('serves a limited number of connections at once', async () => {
    await listen(0);
    const sockets: Socket[] = [];
    let refused = 0;
    for (let index = 0; index < 80; index += 1) {
      const socket = await connected();
      socket.once('close', () => (refused += 1));
      socket.resume();
      sockets.push(socket);
    }
    await waitFor('those beyond the limit to be turned away', () => refused === 16);
    for (const socket of sockets) socket.destroy();
    await waitFor('room', async () => {
      for await (const { agent } of report()) if (agent) return true;
      return false;
    });
  });

  it('takes the place of the socket of an agent that was killed', async () => {
    await listen(0);
    const second = await listen(3);
    const seen: ReportResponse[] = [];
    for await (const message of report()) seen.push(message);
    expect(seen).toHaveLength(4);
    // Nor does the end of the former one take the new socket away.
    endpoints[0]?.close();
    expect(existsSync(socketPath)).toBe(true);
    second.close();
  });
});
