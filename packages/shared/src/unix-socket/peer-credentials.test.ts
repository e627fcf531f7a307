import { spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openPeerPidfd, readPeerCredentials, socketDescriptor } from './peer-credentials.js';
import { isPidfdAlive } from './process-exits.js';

const folder = mkdtempSync(join(tmpdir(), 'peer-credentials-'));
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

let sequence = 0;

async function listen(): Promise<{ server: Server; path: string }> {
  const path = join(folder, `${(sequence += 1)}.sock`);
  const server = createServer();
  server.listen(path);
  await once(server, 'listening');
  cleanups.push(() => server.close());
  return { server, path };
}

function connectFromChild(path: string, identity: { uid?: number; gid?: number } = {}): ChildProcess {
  const script = `require('node:net').connect(process.argv[1]); process.stdin.resume(); process.stdin.on('end', () => process.exit())`;
  const child = spawn(process.execPath, ['-e', script, path], {
    stdio: ['pipe', 'inherit', 'inherit'],
    cwd: '/',
    ...identity,
  });
  cleanups.push(() => child.kill('SIGKILL'));
  return child;
}

async function accepted(server: Server): Promise<Socket> {
  const [socket] = (await once(server, 'connection')) as [Socket];
  cleanups.push(() => socket.destroy());
  return socket;
}

describe('peer credentials', () => {
  it('names this very process when it calls itself', async () => {
    const { server, path } = await listen();
    const client = connect(path);
    cleanups.push(() => client.destroy());
    const fd = socketDescriptor(await accepted(server));
    expect(readPeerCredentials(fd)).toEqual({
      pid: process.pid,
      uid: process.geteuid?.(),
      gid: process.getegid?.(),
    });
  });

  it('holds the process that connected and sees it exit', async () => {
    const { server, path } = await listen();
    const child = connectFromChild(path);
    const fd = socketDescriptor(await accepted(server));
    const { pid } = readPeerCredentials(fd);
    expect(pid).toBe(child.pid);
    const pidfd = openPeerPidfd(fd, pid);
    try {
      expect(isPidfdAlive(pidfd)).toBe(true);
      child.kill('SIGKILL');
      await vi.waitFor(() => {
        expect(isPidfdAlive(pidfd)).toBe(false);
      });
    } finally {
      closeSync(pidfd);
    }
  });

  it.runIf(process.getuid?.() === 0)('names the uid and gid of a process of another user', async () => {
    const { server, path } = await listen();
    chmodSync(folder, 0o755);
    chmodSync(path, 0o777);
    const child = connectFromChild(path, { uid: 64_001, gid: 64_002 });
    expect(readPeerCredentials(socketDescriptor(await accepted(server)))).toEqual({
      pid: child.pid,
      uid: 64_001,
      gid: 64_002,
    });
  });

  it('refuses a TCP connection, for which the kernel would answer pid 0', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    cleanups.push(() => {
      client.destroy();
      server.close();
    });
    const fd = socketDescriptor(await accepted(server));
    expect(() => readPeerCredentials(fd)).toThrow('not connected through a unix socket');
  });

  it('refuses a socket that was destroyed, a closed descriptor and a file', async () => {
    const { server, path } = await listen();
    const client = connect(path);
    const socket = await accepted(server);
    client.destroy();
    socket.destroy();
    expect(() => socketDescriptor(socket)).toThrow('already ended');
    expect(() => readPeerCredentials(-1)).toThrow('errno 9');
    const file = openSync(process.execPath, 'r');
    cleanups.push(() => {
      closeSync(file);
    });
    expect(() => readPeerCredentials(file)).toThrow('errno 88');
  });
});

process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true });
});
