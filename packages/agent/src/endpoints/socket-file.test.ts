import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { checkSocketPath, inodeOf, listenAtPath, removeSocket } from './socket-file.js';

let directory: TemporaryDirectory;
let servers: Server[] = [];
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  for (const server of servers) server.close();
  servers = [];
  directory.remove();
});

function newServer(greeting = ''): Server {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end(greeting);
  });
  servers.push(server);
  return server;
}

async function greetingAt(path: string): Promise<string> {
  const [bytes] = (await once(connect(path), 'data')) as [Buffer];
  return bytes.toString();
}

describe('socket file', () => {
  it.each([
    ['a relative path', 'run/agent.sock', 'is not absolute'],
    ['a zero byte', '/run/a\0b', 'zero byte'],
    ['108 bytes', `/${'a'.repeat(107)}`, 'has 108 bytes, at most 107 are possible'],
    ['108 bytes in fewer characters', `/a${'ü'.repeat(53)}`, 'has 108 bytes'],
  ])('refuses %s', (_name, path, message) => {
    expect(() => {
      checkSocketPath(path);
    }).toThrow(message);
  });

  it('listens at a path of exactly 107 bytes, for every user, and leaves nothing else there', async () => {
    const folder = directory.join('run');
    const name = 's'.repeat(107 - Buffer.byteLength(folder) - 1);
    await listenAtPath(newServer('hello'), `${folder}/${name}`, silentLogger);
    expect(await greetingAt(`${folder}/${name}`)).toBe('hello');
    expect(readdirSync(folder)).toEqual([name]);
    expect(statSync(`${folder}/${name}`).mode & 0o777).toBe(0o777);
    expect(statSync(folder).mode & 0o777).toBe(0o755);
  });

  it('makes the missing folders for every user, but leaves those that exist as they are', async () => {
    mkdirSync(directory.join('private'), { mode: 0o700 });
    await listenAtPath(newServer(), directory.join('private/agent.sock'), silentLogger);
    expect(statSync(directory.join('private')).mode & 0o777).toBe(0o700);
  });

  it('takes the place of a socket that nobody serves, and of one that is served, which it says', async () => {
    const path = directory.join('agent.sock');
    const warn = vi.fn();
    const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { warn });
    const first = newServer('first');
    await listenAtPath(first, path, log);
    expect(warn).not.toHaveBeenCalled();
    await listenAtPath(newServer('second'), path, log);
    expect(await greetingAt(path)).toBe('second');
    expect(warn).toHaveBeenCalledTimes(1);
    await new Promise((resolve) => first.close(resolve));
    expect(await greetingAt(path)).toBe('second'); // the first one's end takes nothing away
  });

  it.each([
    [
      'a file',
      (path: string) => {
        writeFileSync(path, 'precious');
      },
    ],
    [
      'a folder',
      (path: string) => {
        mkdirSync(path);
      },
    ],
    [
      'a link',
      (path: string) => {
        symlinkSync('/nowhere', path);
      },
    ],
  ])('refuses to replace %s', async (_name, create) => {
    const path = directory.join('agent.sock');
    create(path);
    await expect(listenAtPath(newServer(), path, silentLogger)).rejects.toMatchObject({
      reason: 'failed_precondition',
    });
    expect(readdirSync(directory.path)).toEqual(['agent.sock']);
  });

  it('says what the system refuses', async () => {
    writeFileSync(directory.join('file'), '');
    await expect(listenAtPath(newServer(), directory.join('file/agent.sock'), silentLogger)).rejects.toThrow(
      /cannot listen on .*file\/agent.sock: .*(ENOTDIR|EEXIST)/,
    );
  });

  it.runIf(process.getuid?.() !== 0)('says that a folder may not be written', async () => {
    chmodSync(directory.path, 0o500);
    await expect(listenAtPath(newServer(), directory.join('agent.sock'), silentLogger)).rejects.toThrow(
      'EACCES',
    );
  });

  it('removes its own socket only', async () => {
    const path = directory.join('agent.sock');
    await listenAtPath(newServer('first'), path, silentLogger);
    const inode = inodeOf(path);
    await listenAtPath(newServer('second'), path, silentLogger);
    removeSocket(path, inode);
    expect(await greetingAt(path)).toBe('second');
    removeSocket(path, inodeOf(path));
    removeSocket(path, inode);
    expect(readdirSync(directory.path)).toEqual([]);
  });
});
