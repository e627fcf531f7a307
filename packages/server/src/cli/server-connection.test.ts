import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { status } from '@grpc/grpc-js';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices, StubStatus } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from './program.js';

let directory: ReturnType<typeof createTemporaryDirectory>;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

async function countEntries(socketPath: string): Promise<{ code: number; stderr: string }> {
  const host = createRecordedHost();
  const code = await runServerProgram(['entry', 'count', '-socketPath', socketPath], host);
  return { code, stderr: host.printed.stderr };
}

describe('a command that cannot reach the server', () => {
  it('says that there is no socket, where it looked, and how to start one', async () => {
    const path = directory.join('api.sock');
    expect(await countEntries(path)).toEqual({
      code: 1,
      stderr: `Error: the server is not running: there is no socket ${path}; start it with 'bonafide-server run --config FILE', or name its socket with --socket-path\n`,
    });
  });

  it('says that a dead server left its socket', async () => {
    const path = directory.join('api.sock');
    const { spawnSync } = await import('node:child_process');
    spawnSync(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
    ]);
    const { code, stderr } = await countEntries(path);
    expect(code).toBe(1);
    expect(stderr).toContain(`the server is not running: nobody listens on ${path}; start it with`);
  });

  it('says when the path is no socket', async () => {
    const path = directory.join('file');
    await writeFile(path, '');
    expect((await countEntries(path)).stderr).toBe(
      `Error: ${path} is not a socket; name the server's with --socket-path\n`,
    );
  });

  it('says when the socket speaks something else', async () => {
    const path = directory.join('api.sock');
    const listener = createServer((socket) =>
      socket.on('error', () => undefined).end('HTTP/1.1 400 no\r\n\r\n'),
    );
    await new Promise<void>((resolve) => listener.listen(path, resolve));
    const { code, stderr } = await countEntries(path);
    listener.close();
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: [^\n]+\n$/);
  });

  it('passes on that the server itself is unavailable', async () => {
    const path = directory.join('api.sock');
    await using server = await startStubServices(path, {
      'spire.api.server.entry.v1.Entry': {
        CountEntries: () => {
          throw new StubStatus(status.UNAVAILABLE, 'starting up');
        },
      },
    });
    expect(await countEntries(path)).toEqual({ code: 1, stderr: 'Error: starting up\n' });
    expect(server.calls).toHaveLength(1);
  });

  it('says when the server is older than the command', async () => {
    const path = directory.join('api.sock');
    await using server = await startStubServices(path, { 'grpc.health.v1.Health': {} });
    const { code, stderr } = await countEntries(path);
    expect(code).toBe(1);
    expect(stderr).toContain('does not implement');
    expect(server.calls).toEqual([]);
  });
});

describe('healthcheck', () => {
  async function check(answer: () => object, ...flags: readonly string[]) {
    const path = directory.join('api.sock');
    await using server = await startStubServices(path, { 'grpc.health.v1.Health': { Check: answer } });
    const host = createRecordedHost();
    const code = await runServerProgram(['healthcheck', '-socketPath', path, ...flags], host);
    expect(server.calls).toHaveLength(1);
    return { code, ...host.printed };
  }

  it('succeeds exactly when the server is serving', async () => {
    expect(await check(() => ({ status: 'SERVING' }))).toEqual({
      code: 0,
      stdout: 'Server is healthy.\n',
      stderr: '',
    });
    expect((await check(() => ({ status: 'SERVING' }), '-verbose', '-shallow')).stdout).toBe(
      'Checking server health...\nServer is healthy.\n',
    );
    expect(await check(() => ({ status: 'NOT_SERVING' }))).toEqual({
      code: 1,
      stdout: '',
      stderr: 'Error: server is unhealthy: server returned status "NOT_SERVING"\n',
    });
  });

  it('fails when there is no server', async () => {
    const host = createRecordedHost();
    expect(await runServerProgram(['healthcheck', '-socketPath', directory.join('none.sock')], host)).toBe(1);
    expect(host.printed.stderr).toMatch(
      /^Error: server is unhealthy: unable to determine health: the server is not running/,
    );
  });
});
