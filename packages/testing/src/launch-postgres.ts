/** A real PostgreSQL on a free port and a temporary folder: started, killed, restarted, and gone with the test. */
import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findFreePort } from './free-port.js';
import { LaunchedProcess } from './launched-process.js';
import { postgresAccount, postgresProgram, runPostgresProgram } from './postgres-programs.js';

const HOST = '127.0.0.1';
const USER = 'bonafide';
const READY_LIMIT_MS = 60_000;
/** A killed postmaster's children hold the shared memory until they notice. */
const START_ATTEMPTS = 20;

/** For tests that never pull the plug of the machine: several times as fast. */
export const FAST_SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } as const;

export interface LaunchPostgresOptions {
  /** Where its data and socket go; it stays when PostgreSQL stops. As root it is made enterable for others, who must be able to reach it. */
  readonly directory: string;
  /** As in postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Starts as its streaming replica: a copy that follows, and can only be read. */
  readonly replicaOf?: LaunchedPostgres;
}

export interface LaunchedPostgres extends AsyncDisposable {
  readonly process: LaunchedProcess;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** Of a database of this server; `postgres` unless told. */
  url(database?: string): string;
  /** @returns the url of the new, empty database. */
  createDatabase(name: string): Promise<string>;
  /** Runs SQL with psql, and gives its rows, a line each. */
  query(sql: string, database?: string): Promise<string>;
  /** The postmaster and all its children at once. */
  kill9(): Promise<void>;
  /** Connections are ended, what was committed is on the disk. */
  stop(): Promise<void>;
  start(): Promise<void>;
  restart(): Promise<void>;
}

/**
 * It sorts texts by the rules of a language, as many databases do: what relies on the order of bytes has to ask for it.
 * @throws Error naming the package when PostgreSQL is not installed.
 * @example
 * using directory = createTemporaryDirectory();
 * await using postgres = await launchPostgres({ directory: directory.path });
 * const url = await postgres.createDatabase('registry');
 */
export async function launchPostgres(options: LaunchPostgresOptions): Promise<LaunchedPostgres> {
  const { directory, replicaOf } = options;
  const account = postgresAccount();
  const home = join(directory, 'postgres');
  await mkdir(home, { mode: 0o700 });
  if (account !== undefined) {
    await chmod(directory, 0o711);
    await chown(home, account.uid, account.gid);
  }
  const port = await findFreePort();
  const password = replicaOf?.password ?? randomBytes(12).toString('hex');
  const data = join(home, 'data');
  if (replicaOf === undefined) await createCluster(home, data, password);
  else
    await runPostgresProgram('pg_basebackup', [
      '-D',
      data,
      '-R',
      '--checkpoint=fast',
      '--no-sync',
      '-d',
      replicaOf.url(),
    ]);
  const settings = {
    port: String(port),
    listen_addresses: HOST,
    unix_socket_directories: home,
    shared_buffers: '16MB',
    ...options.settings,
  };
  const process = await LaunchedProcess.launch({
    name: 'postgres',
    command: postgresProgram('postgres'),
    args: ['-D', data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    cwd: '/',
    ...(account === undefined ? {} : { account }),
    // SIGTERM would wait for every client to leave by itself.
    stopSignal: 'SIGINT',
    readyLimitMs: READY_LIMIT_MS,
    isReady: async () => {
      await runPostgresProgram('pg_isready', ['-q', '-h', HOST, '-p', String(port)]);
      return true;
    },
  });
  return new RunningPostgres(process, port, password);
}

class RunningPostgres implements LaunchedPostgres {
  readonly process: LaunchedProcess;
  readonly port: number;
  readonly user = USER;
  readonly password: string;

  constructor(process: LaunchedProcess, port: number, password: string) {
    this.process = process;
    this.port = port;
    this.password = password;
  }

  url(database = 'postgres'): string {
    return `postgres://${USER}:${this.password}@${HOST}:${this.port}/${encodeURIComponent(database)}?sslmode=disable`;
  }

  async createDatabase(name: string): Promise<string> {
    await runPostgresProgram('createdb', ['--maintenance-db', this.url(), name]);
    return this.url(name);
  }

  query(sql: string, database?: string): Promise<string> {
    const plain = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align', '--set', 'ON_ERROR_STOP=1'];
    return runPostgresProgram('psql', [...plain, '--dbname', this.url(database), '--command', sql]);
  }

  async kill9(): Promise<void> {
    if (!this.process.isRunning) return;
    const { pid } = this.process;
    const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
    await this.process.kill9();
    for (const child of children.split(' ').filter((text) => text !== '')) killIfThere(Number(child));
  }

  stop(): Promise<void> {
    return this.process.stop();
  }

  async start(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const before = this.process.output.length;
      try {
        await this.process.start();
        return;
      } catch (error) {
        const said = this.process.output.slice(before);
        if (attempt === START_ATTEMPTS || !said.includes('shared memory block')) throw error;
      }
    }
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => this.kill9());
  }
}

async function createCluster(home: string, data: string, password: string): Promise<void> {
  const passwordFile = join(home, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  const account = postgresAccount();
  if (account !== undefined) await chown(passwordFile, account.uid, account.gid);
  const version = /\d+/.exec(await runPostgresProgram('initdb', ['--version']))?.[0];
  const sorting = Number(version) >= 15 ? ['--locale-provider=icu', '--icu-locale=en-US'] : [];
  const plain = ['--encoding=UTF8', '--locale=C', '--no-sync', '--auth=scram-sha-256'];
  await runPostgresProgram('initdb', [
    ...['-D', data, '--username', USER, '--pwfile', passwordFile],
    ...plain,
    ...sorting,
  ]);
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
