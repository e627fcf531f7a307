import { setImmediate as nextTurn } from 'node:timers/promises';
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { openServerStream } from '@bonafide/shared/rpc/client-call';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { expect, it } from 'vitest';
import { addHealthService } from './health.js';

/** How many signals Node.js remembers to have been made of this one; none where it has no such list. */
function dependants(signal: AbortSignal): number {
  const list = Object.getOwnPropertySymbols(signal).find((name) => name.description === 'kDependantSignals');
  const found: unknown = list === undefined ? undefined : Reflect.get(signal, list);
  return typeof found === 'object' && found !== null ? Number(Reflect.get(found, 'size')) : 0;
}

it('whoever watches for long leaves nothing behind, and hears of the end', async () => {
  const clock = new FakeClock();
  const stopping = new AbortController();
  let looks = 0;
  const server = new Server();
  const isHealthy = (): boolean => {
    looks += 1;
    return looks < 100;
  };
  addHealthService(server, { isHealthy, clock, log: silentLogger, stopping: stopping.signal });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  const { Client } = loadService('grpc.health.v1.Health');
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    const stream = openServerStream(client, 'Watch', { service: '' }, {});
    expect((await stream.next()).value).toMatchObject({ status: 'SERVING' });
    await waitFor('a hundred reviews', async () => {
      await clock.advance(1_000);
      await nextTurn();
      return looks >= 100;
    });
    expect((await stream.next()).value).toMatchObject({ status: 'NOT_SERVING' });
    expect(dependants(stopping.signal)).toBe(0);
    stopping.abort();
    await expect(stream.next()).rejects.toMatchObject({ reason: 'unavailable' });
  } finally {
    client.close();
    server.forceShutdown();
  }
});
