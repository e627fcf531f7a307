import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { moreAcceptors } from './more-acceptors.js';

let directory: TemporaryDirectory;
let servers: Server[];
let accepted: Socket[];
const accept = (socket: Socket): void => {
  accepted.push(socket);
};

beforeEach(async () => {
  directory = createTemporaryDirectory();
  accepted = [];
  const server = createServer(accept);
  server.listen(directory.join('socket'));
  await once(server, 'listening');
  servers = [server];
});
afterEach(() => {
  for (const socket of accepted) socket.destroy();
  for (const server of servers) server.close();
  directory.remove();
});

/** @returns the most connections that came in one turn of the event loop. */
async function crowd(count: number): Promise<number> {
  const clients = Array.from({ length: count }, () => connect(directory.join('socket')));
  let most = 0;
  let before = 0;
  while (before < count) {
    await nextTurn();
    most = Math.max(most, accepted.length - before);
    before = accepted.length;
  }
  for (const client of clients) client.destroy();
  return most;
}

describe('a listening socket with more acceptors', () => {
  it('takes as many connections a turn, and every connection once', async () => {
    const before = await crowd(100);
    const [server] = servers;
    if (server === undefined) throw new Error('no server');
    servers.push(...(await moreAcceptors(server, 7, accept)));
    accepted.length = 0;
    expect(await crowd(100)).toBeGreaterThan(4 * before);
    expect(accepted).toHaveLength(100);
  });

  it('is closed when all are, and leaves no descriptor behind', async () => {
    const [server] = servers;
    if (server === undefined) throw new Error('no server');
    const before = readdirSync('/proc/self/fd').length;
    const more = await moreAcceptors(server, 3, accept);
    expect(readdirSync('/proc/self/fd')).toHaveLength(before + 3);
    for (const each of more) each.close();
    await waitFor('the copies to be closed', () => readdirSync('/proc/self/fd').length === before);
    const client = connect(directory.join('socket'));
    await once(client, 'connect');
    client.destroy();
  });

  it('cannot be one that does not listen', async () => {
    await expect(moreAcceptors(createServer(), 1, accept)).rejects.toThrow('does not listen');
  });
});
