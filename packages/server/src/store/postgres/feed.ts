/** One connection that listens for commits of other servers, asks now and then in case one went unheard, and knows whether the database is there. */
import { Socket } from 'node:net';
import { Client } from 'pg';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import type { ConnectionState } from '../connection-state.js';
import type { PostgresAccess } from './access.js';
import { clientConfig } from './database.js';
import { translatePostgresError } from './database-error.js';
import { describeTarget } from './target.js';
import type { ServerIdLock } from '../server-id-lock.js';
import type { LogPosition } from '../store.js';

export interface PostgresFeedParts {
  readonly access: PostgresAccess;
  readonly channel: string;
  /** What is listened to besides, and who hears it. */
  readonly deliveries: { readonly channel: string; readonly heard: (payload: string) => void };
  /** How the connection is known in the database. */
  readonly applicationName: string;
  readonly state: ConnectionState;
  /** Held by this connection. */
  readonly lock: ServerIdLock;
  /** The last commit that was told of here. */
  readonly seen: () => LogPosition;
  /** Looks through the pool: the connection for this one may be all that fails. */
  readonly look: () => Promise<Look | undefined>;
  /** Reads the log and tells of what is new in it. */
  readonly catchUp: () => Promise<void>;
  /** The database is gone: whatever the pool holds leads nowhere. */
  readonly onLost: () => void;
  readonly clock: Clock;
  readonly log: Logger;
  /** At most this long does a commit go unheard whose notification was lost. */
  readonly pollMs?: number | undefined;
}

const POLL_MS = 3000;
const ANSWER_LIMIT_MS = 5000;
const BACKOFF = { initialMs: 100, maximumMs: 3000 };

export const LOOK = `select log_head.revision, coalesce(changes.nonce, '') as nonce,
  pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' as read_only
  from log_head left join changes on changes.revision = log_head.revision`;

export interface Look extends LogPosition {
  /** A standby answers too, and is stale. */
  readonly read_only: boolean;
}

export class PostgresFeed {
  readonly #parts: PostgresFeedParts;
  readonly #stop = new AbortController();
  readonly #alarm: Alarm;
  readonly #backoff = new Backoff(BACKOFF);
  #run: Promise<void> | undefined;

  constructor(parts: PostgresFeedParts) {
    this.#parts = parts;
    this.#alarm = new Alarm(parts.clock);
  }

  start(): void {
    this.#run ??= this.#follow();
  }

  /** Something else met trouble with the database: looks now. */
  suspect(): void {
    this.#alarm.ring();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#run;
  }

  async #follow(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#listen();
      } catch (error) {
        await this.#recover(error);
      }
    }
  }

  /** Until the connection fails, or the feed is stopped. */
  async #listen(): Promise<void> {
    const { access, channel, deliveries, applicationName, clock, pollMs = POLL_MS } = this.#parts;
    const socket = new Socket();
    const client = new Client({
      ...clientConfig(access, ANSWER_LIMIT_MS),
      application_name: applicationName,
      connectionTimeoutMillis: ANSWER_LIMIT_MS,
      query_timeout: ANSWER_LIMIT_MS,
      stream: () => socket,
    });
    let failure: Error | undefined;
    client.on('error', (error) => {
      failure = error;
      this.#alarm.ring();
    });
    client.on('notification', ({ channel: heardOn, payload = '' }) => {
      if (heardOn === deliveries.channel) deliveries.heard(payload);
      else if (Number(payload) > this.#parts.seen().revision) this.#catchUp();
    });
    try {
      await client.connect();
      await this.#parts.lock.take(client, this.#stop.signal);
      for (const each of [channel, deliveries.channel]) {
        await client.query(`listen ${client.escapeIdentifier(each)}`);
      }
      while (!this.#stop.signal.aborted) {
        this.#consider((await client.query<Look>(LOOK)).rows[0]);
        this.#backoff.reset();
        await this.#alarm.wait(new Date(clock.now().getTime() + pollMs), this.#stop.signal);
        if (failure !== undefined) throw failure;
      }
    } finally {
      // A dead peer never answers the farewell, and must not keep the process from ending.
      socket.unref();
      void client.end().catch(() => undefined);
    }
  }

  #consider(head: Look | undefined): void {
    const where = describeTarget(this.#parts.access.target);
    if (head === undefined)
      throw new BonafideError('failed_precondition', `the ${where} has lost its tables`);
    if (head.read_only) throw new BonafideError('unavailable', `the ${where} is read-only`);
    this.#parts.state.found();
    const seen = this.#parts.seen();
    if (head.revision !== seen.revision || head.nonce !== seen.nonce) this.#catchUp();
  }

  /** Nothing is lost by a failure here: what was not read is read at the next look. */
  #catchUp(): void {
    this.#parts.catchUp().catch((error: unknown) => {
      this.#parts.log.warn({ problem: errorMessage(error) }, 'cannot read the change log; trying again');
    });
  }

  async #recover(failure: unknown): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { access, state, look, onLost, clock, log } = this.#parts;
    const where = describeTarget(access.target);
    const translated = translatePostgresError(failure, where);
    log.debug({ problem: errorMessage(translated) }, 'the connection that listens to the database failed');
    try {
      this.#consider(await withTimeLimit(clock, ANSWER_LIMIT_MS, `the ${where}`, look()));
    } catch (error) {
      state.lost(errorMessage(error));
      onLost();
    }
    await sleep(clock, this.#backoff.nextDelayMs(), this.#stop.signal).catch(() => undefined); // stopped
  }
}
