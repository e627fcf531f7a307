/** Opens the store in a PostgreSQL database, which several servers may share. */
import { sql } from 'kysely';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import { ChangeListeners } from '../change-listeners.js';
import { ConnectionState } from '../connection-state.js';
import { LogFollower } from '../log-follower.js';
import { preparePostgres, type PostgresAccess } from './access.js';
import { connectPostgres, type PoolOptions, type PostgresDatabase } from './database.js';
import { LOOK, PostgresFeed, type Look } from './feed.js';
import { parsePostgresTarget } from './target.js';
import { ReadReplica } from './read-replica.js';
import { BytewiseText } from '../sql/bytewise-text.js';
import { appendAndNotify, logPosition, openLog, readLogAfter } from '../sql/change-log.js';
import { DeliveryQueries } from '../sql/delivery.js';
import { migrate } from '../sql/migrate.js';
import { ServerIdLock } from '../server-id-lock.js';
import type { WriteMeter } from '../metered-turn.js';
import { SqlStore } from '../sql-store.js';
import type { Store } from '../store.js';

interface PostgresPoolLimits {
  /** Of this server to the primary, all told; 3 at least. */
  readonly maxConnections?: number | undefined;
  readonly idleTimeoutSeconds?: number | undefined;
  readonly maxLifetimeSeconds?: number | undefined;
}

export interface PostgresStoreOptions {
  /** A URL, or libpq's keywords and values. */
  readonly url: string;
  /** A replica of it for what operators list. */
  readonly readReplicaUrl?: string | undefined;
  readonly pool?: PostgresPoolLimits | undefined;
  readonly serverId: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many revisions the change log reaches back. */
  readonly keepRevisions?: number | undefined;
  /** In the log, of one revision. */
  readonly mostChanges?: number | undefined;
  readonly meter?: WriteMeter | undefined;
  /** How often the log is looked at in case a notification was lost. */
  readonly pollMs?: number | undefined;
}

export const DEFAULT_MAX_CONNECTIONS = 20;
/** One to write, one to listen, and those that read. */
export const LEAST_CONNECTIONS = 3;
const REPLICA_CONNECTIONS = 4;
/** Of connections that listen; the server's ID follows. */
export const LISTENER_PREFIX = 'bonafide/';
/** A peer that is gone never says farewell. */
const CLOSE_LIMIT_MS = 5000;
/** Longer than a server that was killed may linger in the database. */
const START_LIMIT_MS = 20_000;

/** @throws BonafideError `invalid_argument` for a url, `failed_precondition` for a database of a newer release or without rights, `unavailable` when it cannot be reached. */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const access = await preparePostgres(parsePostgresTarget(options.url));
  const replicaAccess =
    options.readReplicaUrl === undefined
      ? undefined
      : await preparePostgres(parsePostgresTarget(options.readReplicaUrl));
  const logId = await prepareDatabase(access);
  return openPrepared(options, access, replicaAccess, logId);
}

/** With a connection of its own, because waiting for another server's migration may take longer than a statement should. */
async function prepareDatabase(access: PostgresAccess): Promise<string> {
  const { db } = connectPostgres(access, { maxConnections: 1, statementLimitMs: 0 });
  try {
    const { rows } = await sql<{ schema: string | null }>`select current_schema() as schema`.execute(db);
    const schema = rows[0]?.schema ?? undefined;
    if (schema === undefined) {
      throw new BonafideError(
        'failed_precondition',
        'no schema of the database is on the search_path of this user; create one, or grant it usage',
      );
    }
    await migrate(db.withPlugin(new BytewiseText()), schema);
    return await openLog(db);
  } finally {
    await db.destroy();
  }
}

async function openPrepared(
  options: PostgresStoreOptions,
  access: PostgresAccess,
  replicaAccess: PostgresAccess | undefined,
  logId: string,
): Promise<Store> {
  const { clock, log, pool = {}, serverId, keepRevisions, mostChanges, meter, pollMs } = options;
  const maxConnections = Math.max(pool.maxConnections ?? DEFAULT_MAX_CONNECTIONS, LEAST_CONNECTIONS);
  const connect = (to: PostgresAccess, size: number, onTrouble: () => void): PostgresDatabase =>
    connectPostgres(to, { ...limitsOf(pool), maxConnections: size, onTrouble });
  const suspect = (): void => {
    feed?.suspect();
  };
  const writer = connect(access, 1, suspect);
  const readers = connect(access, maxConnections - 2, suspect);
  const replica =
    replicaAccess === undefined
      ? undefined
      : connect(replicaAccess, Math.min(REPLICA_CONNECTIONS, maxConnections), () => undefined);
  const databases = [writer, readers, ...(replica === undefined ? [] : [replica])];
  const closePools = async (): Promise<void> => {
    await Promise.all(databases.map(({ db }) => db.destroy()));
  };
  let feed: PostgresFeed | undefined;
  try {
    const listeners = new ChangeListeners(log);
    const follower = new LogFollower({
      followed: {
        readAfter: (position, limit) => readLogAfter(readers.db, position, limit),
        position: () => logPosition(readers.db),
      },
      start: await logPosition(readers.db),
      listeners,
      log,
    });
    const channel = `bonafide_${logId.replaceAll('-', '')}`;
    const deliveries = new DeliveryQueries({
      db: readers.db,
      serverId,
      channel: `${channel}_delivery`,
      listenerPrefix: LISTENER_PREFIX,
    });
    const state = new ConnectionState({ clock, log });
    const lock = new ServerIdLock({ serverId, clock, log });
    feed = new PostgresFeed({
      access,
      channel,
      deliveries: {
        channel: `${channel}_delivery`,
        heard: (payload) => {
          deliveries.heard(payload);
        },
      },
      applicationName: `${LISTENER_PREFIX}${serverId}`,
      state,
      lock,
      seen: () => follower.seen,
      look: async () => (await sql.raw<Look>(LOOK).execute(readers.db)).rows[0],
      catchUp: () => follower.catchUp(),
      onLost: () => {
        for (const database of databases) database.renewConnections();
      },
      clock,
      log,
      pollMs,
    });
    const started = feed;
    started.start();
    await withTimeLimit(clock, START_LIMIT_MS, 'the connection that listens to the database', lock.started());
    return new SqlStore({
      logId,
      serverId,
      connection: state,
      deliveries,
      writer: writer.db,
      reader: readers.db,
      replica:
        replica &&
        new ReadReplica({ db: replica.db, logId, knownRevision: () => follower.seen.revision, clock, log }),
      listeners,
      append: (transaction, committed) => appendAndNotify(transaction, committed, channel),
      announce: (own) => follower.committed(own),
      keepRevisions,
      mostChanges,
      meter,
      close: async () => {
        await started.stop();
        await follower.stop();
        await withTimeLimit(clock, CLOSE_LIMIT_MS, 'the database', closePools()).catch((error: unknown) => {
          log.debug({ err: error }, 'left connections to the database behind');
        });
      },
    });
  } catch (error) {
    await feed?.stop();
    await closePools();
    throw error;
  }
}

function limitsOf(pool: PostgresPoolLimits): Pick<PoolOptions, 'idleTimeoutSeconds' | 'maxLifetimeSeconds'> {
  const { idleTimeoutSeconds, maxLifetimeSeconds } = pool;
  return { ...(idleTimeoutSeconds === undefined ? {} : { idleTimeoutSeconds }), maxLifetimeSeconds };
}
