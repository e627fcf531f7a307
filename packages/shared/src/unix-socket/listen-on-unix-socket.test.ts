import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { silentLogger } from '../runtime/logger.js';
import { listenOnUnixSocket, type UnixSocketFile, type UnixSocketOptions } from './listen-on-unix-socket.js';

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

function greeting(text: string): Server {
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // a probe leaves without listening
    socket.end(text);
  });
  servers.push(server);
  return server;
}

function listen(
  server: Server,
  path: string,
  more: Partial<UnixSocketOptions> = {},
): Promise<UnixSocketFile> {
  return listenOnUnixSocket(server, { path, mode: 0o600, occupied: 'refuse', log: silentLogger, ...more });
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
  it.each([0o600, 0o777])(
    'serves with mode %o, leaves nothing else there, and removes its file',
    async (mode) => {
      const path = directory.join('api.sock');
      const file = await listen(greeting('hello'), path, { mode });
      expect(statSync(path).mode & 0o777).toBe(mode);
      expect(readdirSync(directory.path)).toEqual(['api.sock']);
      expect(await ask(path)).toBe('hello');
      file.remove();
      expect(readdirSync(directory.path)).toEqual([]);
      file.remove();
    },
  );

  it.each(['refuse', 'replace'] as const)(
    'takes the place of the file of a server that died: %s',
    async (occupied) => {
      const path = directory.join('api.sock');
      const dead = greeting('dead');
      await listen(dead, path);
      await new Promise((resolve) => dead.close(resolve));
      expect(existsSync(path)).toBe(true);
      await listen(greeting('alive'), path, { occupied });
      expect(await ask(path)).toBe('alive');
    },
  );

  it('refuses to take the place of a server that answers, which stays', async () => {
    const path = directory.join('api.sock');
    await listen(greeting('first'), path);
    await expect(listen(greeting('second'), path)).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: `another process listens on ${path}; stop it, or choose another socket path`,
    });
    expect(await ask(path)).toBe('first');
    expect(readdirSync(directory.path)).toEqual(['api.sock']);
  });

  it('takes the place of a server that answers when it is asked to, which it says', async () => {
    const path = directory.join('api.sock');
    const warn = vi.fn();
    const log = Object.assign(Object.create(silentLogger) as typeof silentLogger, { warn });
    const first = greeting('first');
    await listen(first, path, { occupied: 'replace', log });
    expect(warn).not.toHaveBeenCalled();
    await listen(greeting('second'), path, { occupied: 'replace', log });
    expect(await ask(path)).toBe('second');
    expect(warn).toHaveBeenCalledTimes(1);
    await new Promise((resolve) => first.close(resolve));
    expect(await ask(path)).toBe('second'); // the first one's end takes nothing away
  });

  it('does not remove the file of its successor', async () => {
    const path = directory.join('api.sock');
    const first = await listen(greeting('first'), path);
    const second = await listen(greeting('second'), path, { occupied: 'replace' });
    first.remove();
    expect(await ask(path)).toBe('second');
    second.remove();
    first.remove();
    expect(existsSync(path)).toBe(false);
  });

  it.each([
    ['a zero byte', '/run/a\0b', 'zero byte'],
    ['108 bytes', `/${'a'.repeat(107)}`, 'is 1 bytes too long; at most 107 bytes are accepted'],
    ['108 bytes in fewer characters', `/a${'ü'.repeat(53)}`, 'is 1 bytes too long'],
  ])('refuses %s', async (_name, path, message) => {
    await expect(listen(greeting(''), path)).rejects.toThrow(message);
    await expect(listen(greeting(''), path)).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it.each(['s', 'ü', '時'])('listens at a path of 107 bytes whose last part is all %s', async (character) => {
    const bytes = 107 - Buffer.byteLength(directory.path) - 1;
    const size = Buffer.byteLength(character);
    const name = character.repeat(Math.floor(bytes / size)) + 's'.repeat(bytes % size);
    await listen(greeting('fits'), directory.join(name));
    expect(await ask(directory.join(name))).toBe('fits');
    expect(readdirSync(directory.path)).toEqual([name]);
  });

  it.each<[string, (path: string) => void]>([
    [
      'a file',
      (path) => {
        writeFileSync(path, 'precious');
      },
    ],
    [
      'a folder',
      (path) => {
        mkdirSync(path);
      },
    ],
    [
      'a link',
      (path) => {
        symlinkSync('/nowhere', path);
      },
    ],
  ])('refuses to replace %s', async (_name, create) => {
    const path = directory.join('api.sock');
    create(path);
    await expect(listen(greeting(''), path, { occupied: 'replace' })).rejects.toMatchObject({
      reason: 'failed_precondition',
      message: `${path} exists and is no socket; remove it or choose another path`,
    });
    expect(readdirSync(directory.path)).toEqual(['api.sock']);
  });

  it('says what the system refuses', async () => {
    writeFileSync(directory.join('file'), '');
    for (const path of ['file/api.sock', 'missing/api.sock']) {
      await expect(listen(greeting(''), directory.join(path))).rejects.toThrow(
        /cannot listen on .*\/api.sock: .*(ENOTDIR|ENOENT)/,
      );
    }
  });

  it.runIf(process.getuid?.() !== 0)('says that a folder may not be written', async () => {
    chmodSync(directory.path, 0o500);
    await expect(listen(greeting(''), directory.join('api.sock'))).rejects.toThrow('EACCES');
  });
});
