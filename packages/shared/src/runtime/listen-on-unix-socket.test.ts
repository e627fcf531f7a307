import { existsSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { listenOnUnixSocket } from './listen-on-unix-socket.js';

function greeting(text: string): Server {
  return createServer((socket) => {
    socket.on('error', () => undefined); // a probe leaves without listening
    socket.end(text);
  });
}

function ask(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = '';
    connect(path)
      .setEncoding('utf8')
      .on('data', (text: string) => (heard += text))
      .on('error', reject)
      .on('close', () => {
        resolve(heard);
      });
  });
}

describe('listenOnUnixSocket', () => {
  it('serves on the path with the mode that was asked for, and removes its file', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('api.sock');
    const server = greeting('hello');
    const file = await listenOnUnixSocket(server, { path, mode: 0o600 });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await ask(path)).toBe('hello');
    server.close();
    await file.remove();
    expect(existsSync(path)).toBe(false);
    await file.remove();
  });

  it('takes the place of the file of a server that died', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('api.sock');
    const dead = greeting('dead');
    await listenOnUnixSocket(dead, { path, mode: 0o600 });
    dead.close();
    expect(existsSync(path)).toBe(true);
    const server = greeting('alive');
    await listenOnUnixSocket(server, { path, mode: 0o600 });
    expect(await ask(path)).toBe('alive');
    server.close();
  });

  it('refuses to take the place of a server that answers, which stays', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('api.sock');
    const first = greeting('first');
    await listenOnUnixSocket(first, { path, mode: 0o600 });
    await expect(listenOnUnixSocket(greeting('second'), { path, mode: 0o600 })).rejects.toThrow(
      `another process listens on ${path}`,
    );
    expect(await ask(path)).toBe('first');
    first.close();
  });

  it('does not remove the file of its successor', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('api.sock');
    const first = greeting('first');
    const firstFile = await listenOnUnixSocket(first, { path, mode: 0o600 });
    first.close();
    const second = greeting('second');
    await listenOnUnixSocket(second, { path, mode: 0o600 });
    await firstFile.remove();
    expect(await ask(path)).toBe('second');
    second.close();
  });

  it('refuses a path that is too long, and tells by how much', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('x'.repeat(108 - directory.path.length));
    await expect(listenOnUnixSocket(greeting(''), { path, mode: 0o600 })).rejects.toThrow(
      'is 2 bytes too long; at most 107 bytes are accepted',
    );
    const server = greeting('fits');
    const longest = directory.join('x'.repeat(106 - directory.path.length));
    await listenOnUnixSocket(server, { path: longest, mode: 0o600 });
    expect(await ask(longest)).toBe('fits');
    server.close();
  });

  it('refuses a path at which there is something else', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('notes.txt');
    writeFileSync(path, 'mine');
    await expect(listenOnUnixSocket(greeting(''), { path, mode: 0o600 })).rejects.toThrow(
      'holds a file that is no socket',
    );
    const link = directory.join('link');
    symlinkSync(path, link);
    await expect(listenOnUnixSocket(greeting(''), { path: link, mode: 0o600 })).rejects.toThrow('no socket');
    await expect(
      listenOnUnixSocket(greeting(''), { path: directory.join('missing', 'api.sock'), mode: 0o600 }),
    ).rejects.toThrow('cannot listen on');
  });
});
