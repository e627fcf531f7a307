import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openPeerPidfd, readPeerCredentials, socketDescriptor } from './peer-credentials.js';
import { isPidfdAlive } from './process-exits.js';

const folder = mkdtempSync(join(tmpdir(), 'peer-credentials-'));
const cleanups: (() => void)[] = [];
/** Of util-linux; needs root. */
const UNSHARE = 'unshare';
const canUnshare = spawnSync(UNSHARE, ['--pid', '--fork', 'true']).status === 0;
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
      await vi.waitFor(
        () => {
          expect(isPidfdAlive(pidfd)).toBe(false);
        },
        { timeout: 30_000 },
      );
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

  it.runIf(canUnshare)(
    'refuses a caller that this pid namespace does not contain, whom the kernel shows as pid 0 (needs unshare)',
    async () => {
      // The listener lives in a pid namespace of its own, and this test, the caller, outside of it.
      const path = join(folder, 'namespace.sock');
      const script = `
        import { createServer } from 'node:net';
        import { readPeerCredentials, socketDescriptor } from './unix-socket/peer-credentials.js';
        createServer((socket) => {
          try { socket.end(JSON.stringify(readPeerCredentials(socketDescriptor(socket)))); }
          catch (error) { socket.end(error.reason + ': ' + error.message); }
        }).listen(process.argv[2]);
        setTimeout(() => process.exit(), 30_000);`;
      const program = transpile(script);
      const args = ['--pid', '--fork', '--kill-child', process.execPath, program, path];
      const modules = createRequire(import.meta.url).resolve.paths('koffi') ?? [];
      const child = spawn(UNSHARE, args, {
        env: { PATH: process.env['PATH'], NODE_PATH: modules.join(':') },
        stdio: ['ignore', 'inherit', 'inherit'],
      });
      cleanups.push(() => child.kill('SIGKILL'));
      const answer = await vi.waitFor(
        async () => {
          const [bytes] = (await once(connect(path), 'data')) as [Buffer];
          return bytes.toString();
        },
        { timeout: 15_000, interval: 50 },
      );
      expect(answer).toBe(
        'permission_denied: the caller is not visible from here: it must run in this pid namespace or in one below it',
      );
    },
  );
});

/** The script, beside what it imports, as JavaScript in a temporary folder: for a process without the test runner. */
function transpile(script: string): string {
  const target = mkdtempSync(join(folder, 'js-'));
  writeFileSync(join(target, 'package.json'), '{"type":"module"}');
  for (const file of ['errors/bonafide-error', 'unix-socket/libc', 'unix-socket/peer-credentials']) {
    mkdirSync(join(target, dirname(file)), { recursive: true });
    const source = readFileSync(join(import.meta.dirname, '..', `${file}.ts`), 'utf8');
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2023,
        verbatimModuleSyntax: true,
      },
    });
    writeFileSync(join(target, `${file}.js`), outputText);
  }
  writeFileSync(join(target, 'script.js'), script);
  return join(target, 'script.js');
}

process.on('exit', () => {
  rmSync(folder, { recursive: true, force: true });
});
