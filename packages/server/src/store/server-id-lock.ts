/** One running server to a server ID: two that were started from one data folder would move each other's authorities. */
import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';

export interface ServerIdLockOptions {
  readonly serverId: string;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Holder {
  readonly pid: number;
  readonly client_addr: string | null;
  readonly backend_start: Date;
}

/** At a start: the database may take as long to notice that the run before is gone. */
const START_LIMIT_MS = 10_000;
/** Of a server that runs, whose own connection before this one may linger. */
const LIMIT_MS = 2_000;
const RETRY_MS = 200;

export class ServerIdLock {
  readonly #options: ServerIdLockOptions;
  readonly #key: bigint;
  readonly #started: Promise<void>;
  #settle: (refusal: BonafideError | undefined) => void = () => undefined;
  /** Of our connection that held it last. */
  #pid: number | undefined;
  #isRefused = false;

  constructor(options: ServerIdLockOptions) {
    this.#options = options;
    this.#key = createHash('sha256').update(`bonafide server ${options.serverId}`).digest().readBigInt64BE();
    this.#started = new Promise((resolve, reject) => {
      this.#settle = (refusal) => {
        if (refusal === undefined) resolve();
        else reject(refusal);
      };
    });
    this.#started.catch(() => undefined); // it may be settled before anybody waits for it
  }

  /** Resolves once the lock was ours for the first time. @throws BonafideError `failed_precondition` when another server holds it. */
  started(): Promise<void> {
    return this.#started;
  }

  /** For each connection anew: the lock lasts as long as the session. A server that runs already goes on without it, and says so. */
  async take(client: Client, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const isStart = this.#pid === undefined;
    const limitMs = clock.monotonicMs() + (isStart ? START_LIMIT_MS : LIMIT_MS);
    let holder = await this.#try(client);
    while (holder !== undefined && clock.monotonicMs() < limitMs) {
      // Our own, from before the connection failed, if the database has not noticed yet.
      if (holder.pid === this.#pid) await client.query('select pg_terminate_backend($1)', [holder.pid]);
      await sleep(clock, RETRY_MS, signal);
      holder = await this.#try(client);
    }
    if (holder === undefined) await this.#taken(client);
    else this.#refused(holder, isStart);
  }

  /** @returns who holds it, unless that is us now. */
  async #try(client: Client): Promise<Holder | undefined> {
    const key = String(this.#key);
    const { rows } = await client.query<{ is_ours: boolean }>(
      'select pg_try_advisory_lock($1::bigint) as is_ours',
      [key],
    );
    if (rows[0]?.is_ours === true) return undefined;
    const holders = await client.query<Holder>(
      `select pid, host(client_addr) as client_addr, backend_start from pg_locks join pg_stat_activity using (pid)
      where locktype = 'advisory' and objsubid = 1 and granted and pg_locks.database = (select oid from pg_database where datname = current_database())
      and (classid::bigint << 32) | objid::bigint = $1::bigint`,
      [key],
    );
    // None when it was let go between the two questions: the next attempt will tell.
    return holders.rows[0] ?? { pid: 0, client_addr: null, backend_start: this.#options.clock.now() };
  }

  async #taken(client: Client): Promise<void> {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    this.#pid = rows[0]?.pid;
    this.#isRefused = false;
    this.#settle(undefined);
  }

  #refused({ pid, client_addr: address, backend_start: since }: Holder, isStart: boolean): void {
    const { serverId, log } = this.#options;
    const where = address ?? 'the machine of the database';
    const problem = `another server with the server ID ${serverId} is connected to the database, from ${where} since ${since.toISOString()} (process ${pid} of PostgreSQL)`;
    if (isStart) {
      this.#settle(
        new BonafideError(
          'failed_precondition',
          `${problem}; stop it, or give this server a data_dir of its own without the file server-id`,
        ),
      );
    } else if (!this.#isRefused) log.error({ problem }, 'two servers with one server ID; stop one of them');
    this.#isRefused = true;
  }
}
