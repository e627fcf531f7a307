/** More of what a program is refused at its start, beside bad-start: what others hold, whose it is, what is away; and how a start ends. */
import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { createServer, connect, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findFreePort } from '@bonafide/testing/free-port';
import { FAST_SETTINGS, launchPostgres } from '@bonafide/testing/launch-postgres';
import { launchServer } from '@bonafide/testing/launch-server';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import type { Program } from '@bonafide/testing/program-path';
import { canRunAsOthers, type Account } from '@bonafide/testing/run-as';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { canMount, SmallDisk } from './small-disk.js';

const STRANGER: Account = { uid: 64_121, gid: 64_121 };
const LIMIT_MS = 120_000;
/** A machine may have much else to do. */
const READY_MS = 120_000;

let directory: TemporaryDirectory;
let port: number;

beforeEach(async () => {
  directory = createTemporaryDirectory({ isPublic: true });
  port = await findFreePort();
});

afterEach(() => {
  directory.remove();
});

const BASE: Readonly<Record<Program, () => ConfigFile>> = {
  server: () => ({
    server: {
      trust_domain: 'example.org',
      bind_address: '127.0.0.1',
      bind_port: port,
      socket_path: directory.join('api.sock'),
      data_dir: directory.join('data'),
    },
  }),
  agent: () => ({
    agent: {
      trust_domain: 'example.org',
      server_address: '127.0.0.1',
      server_port: port,
      socket_path: directory.join('agent.sock'),
      data_dir: directory.join('data'),
      insecure_bootstrap: true,
      join_token: 'not-asked-for',
    },
  }),
  oidc: () => ({
    domains: ['oidc.example.org'],
    listen_socket_path: directory.join('oidc.sock'),
    file: { path: directory.join('bundle.json') },
  }),
};

/** One message on standard error, code 1, and nothing left behind: no socket, and the lock of the database free. */
async function refused(
  program: Program,
  config: ConfigFile,
  says: readonly RegExp[],
  account?: Account,
): Promise<string> {
  const path = directory.join(`${program}.json`);
  await writeFile(path, JSON.stringify(mergeConfig(BASE[program](), config), undefined, 2), { mode: 0o644 });
  const options = { limitMs: LIMIT_MS, ...(account === undefined ? {} : { account }) };
  const { code, stderr } = await runCommand(program, ['run', '--config', path], options);
  expect(code, stderr).toBe(1);
  for (const text of says) expect(stderr).toMatch(text);
  expect(stderr.match(/^Error: /gm), stderr).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s+at /m);
  for (const socket of ['api.sock', 'agent.sock', 'oidc.sock']) {
    expect(existsSync(directory.join(socket)), socket).toBe(false);
  }
  return stderr;
}

describe('a server is refused', { timeout: 400_000 }, () => {
  it('a data folder into which everybody may write', async () => {
    await mkdir(directory.join('data'));
    await chmod(directory.join('data'), 0o777);
    await refused('server', {}, [/data_dir .*data: everybody may write into it/, /chmod 700/]);
    expect(readdirSync(directory.join('data'))).toEqual([]);
  });

  it('a database of another trust domain, and leaves it as it is', async () => {
    const first = await launchServer({ directory: directory.path, name: 'data', readyLimitMs: READY_MS });
    await first.stop();
    const other = { server: { trust_domain: 'other.org' } };
    const message = await refused('server', other, [
      /is of the trust domain example\.org/,
      /trust_domain says other\.org/,
    ]);
    expect(message).toContain('database of its own');
    await first.process.start();
    expect(await first.commandOutput('bundle', 'count')).toBe('1 bundle\n');
    await first.stop();
  });

  it('the data folder and database of a server that runs, and leaves that one alone', async () => {
    await using running = await launchServer({
      directory: directory.path,
      name: 'data',
      readyLimitMs: READY_MS,
    });
    await refused('server', {}, [/in use by another server; stop that one/]);
    expect(await running.commandOutput('healthcheck')).toContain('healthy');
  });

  it('a PostgreSQL that is away, and never says the password', async () => {
    const url = `postgres://somebody:s3cret-word@127.0.0.1:${port}/registry?sslmode=disable`;
    const datastore = { type: 'postgres', url };
    const message = await refused('server', { datastore }, [/127\.0\.0\.1/, /ECONNREFUSED|cannot/]);
    expect(message).not.toContain('s3cret-word');
  });

  it('a wrong password of PostgreSQL, and never says it', async () => {
    await using postgres = await launchPostgres({ directory: directory.path, settings: FAST_SETTINGS });
    const url = postgres.url().replace(postgres.password, 'wr0ng-word');
    const message = await refused('server', { datastore: { type: 'postgres', url } }, [/password/]);
    expect(message).not.toContain('wr0ng-word');
    expect(message).not.toContain(postgres.password);
  });

  it('something that answers like no PostgreSQL', async () => {
    const garbage: Server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((resolve) => garbage.listen(0, '127.0.0.1', resolve));
    const address = garbage.address();
    const at = typeof address === 'object' && address !== null ? address.port : 0;
    try {
      const url = `postgres://somebody@127.0.0.1:${at}/registry?sslmode=disable`;
      await refused('server', { datastore: { type: 'postgres', url } }, [/127\.0\.0\.1/]);
    } finally {
      garbage.close();
    }
  });

  it.runIf(canMount())('a disk that is full (needs root)', async () => {
    using disk = SmallDisk.mount(directory.join('disk'), 2);
    disk.fill();
    const config = { server: { data_dir: directory.join('disk', 'data') } };
    await refused('server', config, [/ENOSPC|full|no space/i]);
  });
});

describe('every program is refused', { timeout: 400_000 }, () => {
  const programs = ['server', 'agent', 'oidc'] as const;

  it.each(programs)('%s: a configuration that is not there', async (program) => {
    const { code, stderr } = await runCommand(program, ['run', '--config', directory.join('none.yaml')]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: .*none\.yaml/);
    expect(stderr.match(/^Error: /gm)).toHaveLength(1);
  });

  it.runIf(canRunAsOthers()).each(programs)(
    '%s: a configuration it may not read (needs root)',
    async (program) => {
      const path = directory.join('secret.json');
      await writeFile(path, JSON.stringify(BASE[program]()), { mode: 0o600 });
      const { code, stderr } = await runCommand(program, ['run', '--config', path], { account: STRANGER });
      expect(code).toBe(1);
      expect(stderr).toMatch(/^Error: .*secret\.json.*(EACCES|permission)/);
    },
  );

  it.each(programs)('%s: several mistakes, all at once with line and column', async (program) => {
    const section = program === 'oidc' ? undefined : program;
    const wrong = { log_level: 7, unicorn: true };
    const config = section === undefined ? wrong : { [section]: wrong };
    const message = await refused(program, config, [/log_level/, /unicorn/]);
    expect(message.match(new RegExp(`${program}\\.json:\\d+:\\d+`, 'g'))?.length).toBeGreaterThanOrEqual(2);
  });

  // An agent takes the place of the one before it, on purpose: workloads meet no gap.
  it.each(['server', 'oidc'] as const)(
    '%s: a socket on which somebody listens, and leaves it to them',
    async (program) => {
      const path = directory.join('taken.sock');
      await writeFile(directory.join('bundle.json'), '{"keys": []}');
      const occupant = createServer((socket) => socket.end());
      await new Promise<void>((resolve) => occupant.listen(path, resolve));
      const config = program === 'oidc' ? { listen_socket_path: path } : { server: { socket_path: path } };
      try {
        await refused(program, config, [/taken\.sock/]);
        await new Promise<void>((resolve, reject) => {
          connect(path).once('connect', resolve).once('error', reject).resume();
        });
      } finally {
        await new Promise((resolve) => occupant.close(resolve));
      }
    },
  );
});

describe('an agent is refused', { timeout: 400_000 }, () => {
  it('a TPM that is not there', async () => {
    const none = directory.join('no-tpm');
    const config = {
      agent: { join_token: undefined },
      plugins: { NodeAttestor: { tpm: { device: none } } },
    };
    await refused('agent', config, [/no-tpm/]);
  });
});

describe('a server that is told to end', { timeout: 400_000 }, () => {
  it('leaves nothing behind, and starts again over what SIGKILL left', async () => {
    await using server = await launchServer({
      directory: directory.path,
      name: 'data',
      readyLimitMs: READY_MS,
    });
    await server.kill9();
    expect(existsSync(server.socketPath)).toBe(true);
    await server.process.start();
    await server.stop();
    expect(server.process.exitCode).toBe(0);
    expect(existsSync(server.socketPath)).toBe(false);
  });

  it('ends at once at the second signal, though something is in its way', async () => {
    const config = { server: { drain_spread: '5m' } };
    await using server = await launchServer({
      directory: directory.path,
      name: 'data',
      config,
      readyLimitMs: READY_MS,
    });
    const open = connect(server.port, '127.0.0.1');
    await new Promise((resolve) => open.once('connect', resolve));
    const { pid } = server.process;
    process.kill(pid, 'SIGTERM');
    await waitFor('the first signal to be heard', () =>
      /Stopping Server APIs|have stopped/.test(server.process.output),
    );
    if (server.process.isRunning) process.kill(pid, 'SIGTERM');
    await waitFor('the server to end', () => !server.process.isRunning, { limitMs: LIMIT_MS });
    open.destroy();
  });
});
