/** What cannot start says why in one sentence that names the field and what would be accepted, leaves code 1, and nothing half started. */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { connectSqlite } from '@bonafide/server/store/sqlite-database';
import { openStore } from '@bonafide/server/store/open-store';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { findFreePort } from '@bonafide/testing/free-port';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import type { Program } from '@bonafide/testing/program-path';
import { canRunAsOthers, type Account } from '@bonafide/testing/run-as';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adminClient } from './admin-client.js';
import { callUnary } from '@bonafide/shared/rpc/client-call';

/** Somebody who owns nothing here. */
const STRANGER: Account = { uid: 64_120, gid: 64_120 };

interface Scene {
  readonly directory: TemporaryDirectory;
  readonly port: number;
}

interface BadStart {
  readonly config?: (scene: Scene) => ConfigFile;
  /** In place of the configuration. */
  readonly text?: string;
  readonly prepare?: (scene: Scene) => Promise<Server | undefined>;
  readonly account?: Account;
  readonly says: readonly RegExp[];
}

async function occupy(listen: (server: Server) => void): Promise<Server> {
  const server = createServer();
  const listening = new Promise((resolve) => server.once('listening', resolve));
  listen(server);
  await listening;
  return server;
}

async function nothing(work: Promise<unknown>): Promise<undefined> {
  await work;
  return undefined;
}

async function writeNewerDatabase({ directory }: Scene): Promise<undefined> {
  const path = directory.join('data', 'datastore.sqlite3');
  await mkdir(directory.join('data'), { mode: 0o700 });
  await (await openStore({ path, log: silentLogger })).close();
  const database = connectSqlite(path, 'write').withTables<{
    applied_migrations: { name: string; timestamp: string };
  }>();
  await database
    .insertInto('applied_migrations')
    .values({ name: '9999_of_the_future', timestamp: '2040-01-01T00:00:00Z' })
    .execute();
  await database.destroy();
}

async function privateDataFolder({ directory }: Scene): Promise<undefined> {
  await chmod(directory.path, 0o755);
  await mkdir(directory.join('data'), { mode: 0o700 });
}

const SERVER_STARTS: Readonly<Record<string, BadStart>> = {
  'a socket path that no socket can have': {
    config: ({ directory }) => ({ server: { socket_path: directory.join('x'.repeat(108)) } }),
    says: [/socket.path/, /at most 107 bytes/],
  },
  'a socket path that holds a file': {
    config: ({ directory }) => ({ server: { socket_path: directory.join('taken') } }),
    prepare: ({ directory }) => nothing(writeFile(directory.join('taken'), 'mine')),
    says: [/taken exists and is no socket/, /choose another path/],
  },
  'a socket path on which somebody listens': {
    prepare: ({ directory }) => occupy((server) => server.listen(directory.join('api.sock'))),
    says: [/another process listens on .*api\.sock/, /choose another socket.path/],
  },
  'a port on which somebody listens': {
    prepare: ({ port }) => occupy((server) => server.listen(port, '127.0.0.1')),
    says: [/cannot listen on 127\.0\.0\.1:\d+/, /EADDRINUSE/, /bind_port/],
  },
  'an address of another machine': {
    config: () => ({ server: { bind_address: '192.0.2.1' } }),
    says: [/cannot listen on 192\.0\.2\.1/, /EADDRNOTAVAIL/, /bind_address/],
  },
  'a database that a newer release has written': {
    prepare: writeNewerDatabase,
    says: [/written by a newer release/, /9999_of_the_future/, /run the newer release, or restore a backup/],
  },
  'a database that is none': {
    prepare: async ({ directory }) => {
      await mkdir(directory.join('data'));
      return nothing(
        writeFile(directory.join('data', 'datastore.sqlite3'), 'not a database at all'.repeat(100)),
      );
    },
    says: [/datastore\.sqlite3 is not a database of this program/],
  },
  'a data folder that cannot be': {
    config: ({ directory }) => ({ server: { data_dir: directory.join('file', 'data') } }),
    prepare: ({ directory }) => nothing(writeFile(directory.join('file'), '')),
    says: [/data_dir/, /ENOTDIR/],
  },
  'a key file that is damaged': {
    prepare: async ({ directory }) => {
      await mkdir(directory.join('data'));
      return nothing(writeFile(directory.join('data', 'keys.json'), '{"keys": {"x": "MII', { mode: 0o600 }));
    },
    says: [/the key file .*keys\.json is damaged/],
  },
  'a key file that others may read': {
    prepare: async ({ directory }) => {
      await mkdir(directory.join('data'));
      return nothing(writeFile(directory.join('data', 'keys.json'), '{"keys": {}}', { mode: 0o644 }));
    },
    says: [/others may read it/, /chmod 600/],
  },
  'a log file in a folder that is not there': {
    config: ({ directory }) => ({ server: { log_file: directory.join('none', 'server.log') } }),
    says: [/log_file/, /none\/server\.log/, /ENOENT/],
  },
  'keys that nobody knows': {
    config: () => ({ server: { trust_domian: 'example.org', bindport: 1 } }),
    says: [/trust_domian/, /trust_domain/, /bindport/, /server\.json:\d+:\d+/],
  },
  'values of a wrong kind': {
    config: () => ({ server: { bind_port: 'http', ca_ttl: 'soon' } }),
    says: [/bind_port/, /ca_ttl/, /server\.json:\d+:\d+/],
  },
  'no trust domain': {
    config: () => ({ server: { trust_domain: undefined } }),
    says: [/trust_domain/],
  },
  'a file that is neither YAML nor JSON': {
    text: 'server: {\n',
    says: [/server\.json:\d+:\d+/],
  },
};

const AGENT_STARTS: Readonly<Record<string, BadStart>> = {
  'a socket path that no socket can have': {
    config: ({ directory }) => ({ agent: { socket_path: directory.join('x'.repeat(108)) } }),
    says: [/socket.path/, /at most 107/],
  },
  'a socket path that holds a file': {
    config: ({ directory }) => ({ agent: { socket_path: directory.join('taken') } }),
    prepare: ({ directory }) => nothing(writeFile(directory.join('taken'), 'mine')),
    says: [/taken exists and is no socket/, /choose another path/],
  },
  'a data folder that cannot be': {
    config: ({ directory }) => ({ agent: { data_dir: directory.join('file', 'data') } }),
    prepare: ({ directory }) => nothing(writeFile(directory.join('file'), '')),
    says: [/data_dir/, /ENOTDIR/],
  },
  'no trust bundle': {
    config: () => ({ agent: { trust_bundle_path: undefined } }),
    says: [/trust_bundle_path, trust_bundle_url or insecure_bootstrap/],
  },
  'a trust bundle that is not there': {
    config: ({ directory }) => ({ agent: { trust_bundle_path: directory.join('none.pem') } }),
    says: [/none\.pem/, /ENOENT/],
  },
  'a trust bundle that is none': {
    config: ({ directory }) => ({ agent: { trust_bundle_path: directory.join('garbage.pem') } }),
    prepare: ({ directory }) => nothing(writeFile(directory.join('garbage.pem'), 'garbage')),
    says: [/garbage\.pem/, /CERTIFICATE/],
  },
  'nothing to attest with': {
    config: () => ({ agent: { join_token: undefined } }),
    says: [/needs a join token/, /token generate/, /--join-token/],
  },
  'a join token file that is not there': {
    config: ({ directory }) => ({
      agent: { join_token: undefined, join_token_file: directory.join('none') },
    }),
    says: [/join token file .*none/, /ENOENT/],
  },
  'a log file in a folder that is not there': {
    config: ({ directory }) => ({ agent: { log_file: directory.join('none', 'agent.log') } }),
    says: [/log_file/, /none\/agent\.log/, /ENOENT/],
  },
  'keys that nobody knows': {
    config: () => ({ agent: { sokcet_path: '/x' }, plugins: { WorkloadAttestor: { unicorn: {} } } }),
    says: [/sokcet_path/, /socket_path/, /unicorn/, /agent\.json:\d+:\d+/],
  },
};

interface Outcome {
  readonly code: number | undefined;
  readonly stderr: string;
  /** Nothing is left of a socket that was begun. */
  readonly isGone: boolean;
}

async function start(
  program: Program,
  config: (scene: Scene) => ConfigFile,
  badStart: BadStart,
): Promise<Outcome> {
  using directory = createTemporaryDirectory();
  const scene = { directory, port: await findFreePort() };
  const occupant = await badStart.prepare?.(scene);
  const path = directory.join(`${program}.json`);
  const merged = mergeConfig(config(scene), badStart.config?.(scene) ?? {});
  await writeFile(path, badStart.text ?? JSON.stringify(merged, undefined, 2), { mode: 0o644 });
  try {
    const { account } = badStart;
    const options = { limitMs: 150_000, ...(account === undefined ? {} : { account }) };
    const { code, stderr } = await runCommand(program, ['run', '--config', path], options);
    const isGone = occupant !== undefined || !existsSync(directory.join('api.sock'));
    return { code, stderr, isGone };
  } finally {
    occupant?.close();
  }
}

function expectRefusal({ code, stderr, isGone }: Outcome, says: readonly RegExp[]): void {
  expect(code, stderr).toBe(1);
  for (const text of says) expect(stderr).toMatch(text);
  expect(stderr.match(/^Error: /gm), stderr).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s+at /m); // a stack is for who wrote the program
  expect(isGone).toBe(true);
}

describe('a server that cannot start', () => {
  const config = ({ directory, port }: Scene): ConfigFile => ({
    server: {
      trust_domain: 'example.org',
      bind_address: '127.0.0.1',
      bind_port: port,
      socket_path: directory.join('api.sock'),
      data_dir: directory.join('data'),
    },
  });

  it.concurrent.each(Object.entries(SERVER_STARTS))(
    'says so: %s',
    async (_name, badStart) => {
      expectRefusal(await start('server', config, badStart), badStart.says);
    },
    300_000,
  );

  it.runIf(canRunAsOthers())(
    'says so: a data folder of another owner (needs root)',
    async () => {
      const badStart = { prepare: privateDataFolder, account: STRANGER, says: [/data_dir|data\b/, /EACCES/] };
      expectRefusal(await start('server', config, badStart), badStart.says);
    },
    300_000,
  );
});

describe('an agent that cannot start', () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    server = await launchServer({ directory: directory.path });
    await writeFile(directory.join('bundle.pem'), await server.commandOutput('bundle', 'show'));
  });

  afterAll(async () => {
    await server.stop();
    directory.remove();
  });

  async function createToken(): Promise<string> {
    const client = adminClient(server, 'spire.api.server.agent.v1.Agent');
    try {
      return (await callUnary(client, 'CreateJoinToken', { ttl: 600 })).value;
    } finally {
      client.close();
    }
  }

  async function attestedAgents(): Promise<number> {
    const client = adminClient(server, 'spire.api.server.agent.v1.Agent');
    try {
      return (await callUnary(client, 'CountAgents', {})).count;
    } finally {
      client.close();
    }
  }

  const config = (token: string, scene: Scene): ConfigFile => ({
    agent: {
      trust_domain: 'example.org',
      server_address: '127.0.0.1',
      server_port: server.port,
      socket_path: scene.directory.join('api.sock'),
      data_dir: scene.directory.join('data'),
      trust_bundle_path: directory.join('bundle.pem'),
      join_token: token,
    },
  });

  it.concurrent.each(Object.entries(AGENT_STARTS))(
    'says so, and its token is still good: %s',
    async (_name, badStart) => {
      const token = await createToken();
      const outcome = await start('agent', (scene) => config(token, scene), badStart);
      expectRefusal(outcome, badStart.says);
      expect(await attestedAgents()).toBe(0);
    },
    300_000,
  );

  it.runIf(canRunAsOthers())(
    'says so: a data folder of another owner (needs root)',
    async () => {
      const token = await createToken();
      const badStart = {
        prepare: async (scene: Scene) => {
          await privateDataFolder(scene);
          return nothing(chown(scene.directory.join('data'), 0, 0));
        },
        account: STRANGER,
        says: [/data_dir|data\b/, /EACCES/],
      };
      expectRefusal(await start('agent', (scene) => config(token, scene), badStart), badStart.says);
    },
    300_000,
  );
});
