import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from './fault-proxy.js';
import { waitFor } from './wait-for.js';

describe('the fault proxy', () => {
  let target: Server;
  let proxy: FaultProxy;
  let clients: Socket[];
  let atTarget: Socket[];

  beforeEach(async () => {
    clients = [];
    atTarget = [];
    // Says everything twice, so that both directions show.
    target = createServer({ allowHalfOpen: true }, (socket) => {
      atTarget.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', (bytes) => socket.write(Buffer.concat([bytes, bytes])));
      socket.on('end', () => socket.end('bye'));
    });
    target.listen(0, '127.0.0.1');
    await once(target, 'listening');
    proxy = await FaultProxy.start((target.address() as AddressInfo).port);
  });

  afterEach(async () => {
    for (const socket of [...clients, ...atTarget]) socket.destroy();
    await proxy[Symbol.asyncDispose]();
    target.close();
  });

  async function dial(): Promise<{ readonly socket: Socket; readonly heard: () => string }> {
    const socket = connect({ host: '127.0.0.1', port: proxy.port, allowHalfOpen: true });
    clients.push(socket);
    let text = '';
    socket.on('data', (bytes) => (text += bytes.toString()));
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return { socket, heard: () => text };
  }

  /** Through the link and back, so that everything before has been handled. */
  async function isAnswered(text: string): Promise<void> {
    const { socket, heard } = await dial();
    socket.write(text);
    await waitFor('an answer', () => heard() === text + text);
    socket.destroy();
  }

  it('passes everything on, the end too', async () => {
    const { socket, heard } = await dial();
    socket.end('hello');
    await waitFor('the farewell', () => heard() === 'hellohellobye');
    await waitFor('the link to be gone', () => proxy.open === 0);
    expect(proxy.accepted).toBe(1);
  });

  it('refuses new connections and keeps the old ones, until healed', async () => {
    const { socket, heard } = await dial();
    socket.write('a');
    await waitFor('an answer', () => heard() === 'aa');
    proxy.refuse();
    await expect(dial()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    socket.write('b');
    await waitFor('an answer', () => heard() === 'aabb');
    await proxy.heal();
    await isAnswered('c');
  });

  it('cuts by reset, at both ends', async () => {
    const { socket } = await dial();
    await waitFor('the target to be reached', () => atTarget.length === 1);
    const failures: unknown[] = [];
    for (const end of [socket, ...atTarget])
      end.on('error', (error: NodeJS.ErrnoException) => failures.push(error.code));
    proxy.cut();
    await waitFor('both to have closed', () => [socket, ...atTarget].every(({ closed }) => closed));
    expect(failures).toEqual(['ECONNRESET', 'ECONNRESET']);
    await isAnswered('again');
  });

  it('freezes old and new connections, of which neither end hears, and loses no byte', async () => {
    const { socket, heard } = await dial();
    socket.write('a');
    await waitFor('an answer', () => heard() === 'aa');
    proxy.freeze();
    socket.write('b');
    const late = await dial();
    late.socket.write('c');
    await waitFor('both to be at the target', () => atTarget.length === 2);
    expect([heard(), late.heard()]).toEqual(['aa', '']);
    const [first] = atTarget;
    first?.destroy();
    await waitFor('the target to have closed', () => first?.closed);
    expect(socket.readableEnded).toBe(false);
    await proxy.heal();
    await waitFor('the late answer', () => late.heard() === 'cc');
    await waitFor('the end to be heard of', () => socket.readableEnded);
  });

  it('freezes one direction only', async () => {
    const { socket, heard } = await dial();
    proxy.freeze('to_client');
    let arrived = '';
    await waitFor('the target to be reached', () => atTarget.length === 1);
    atTarget[0]?.on('data', (bytes) => (arrived += bytes.toString()));
    socket.write('a');
    await waitFor('the request', () => arrived === 'a');
    expect(heard()).toBe('');
    await proxy.heal();
    await waitFor('the answer', () => heard() === 'aa');
  });

  it('delays each direction, and not one message after the other', async () => {
    proxy.slow({ delayMs: 150 });
    const { socket, heard } = await dial();
    const startedMs = performance.now();
    for (let index = 0; index < 10; index += 1) {
      socket.write('x');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await waitFor('all answers', () => heard().length === 20, { intervalMs: 1 });
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(299);
  });

  it('passes so many bytes a second, and makes the sender wait when it holds many', async () => {
    proxy.slow({ bytesPerSecond: 100_000 });
    const { socket, heard } = await dial();
    const startedMs = performance.now();
    socket.write(Buffer.alloc(40_000, 'x'));
    await waitFor('all of it, twice', () => heard().length === 80_000);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(700);
    proxy.freeze();
    let isTaken = false;
    socket.write(Buffer.alloc(64 * 1024 * 1024), () => (isTaken = true));
    const late = await dial();
    late.socket.write('a');
    await waitFor('another connection to be at the target', () => atTarget.length === 2);
    expect(isTaken).toBe(false);
  });
});
