/** PostgreSQL behind the query builder: a bounded pool, no wait without an end, errors in our words. */
import { Kysely, PostgresDialect, type PostgresPool, type PostgresPoolClient } from 'kysely';
import { Pool, types, type ClientConfig, type PoolClient } from 'pg';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { GuardedClient } from './guarded-client.js';
import type { PostgresAccess } from './access.js';
import { isConnectionLost, isReadOnly, translatePostgresError } from './database-error.js';
import { describeTarget } from './target.js';
import type { Schema } from '../sql/schema.js';

const CONNECT_LIMIT_MS = 10_000;
const STATEMENT_LIMIT_MS = 30_000;
/** The driver gives up after the database should have: the connection is dead then. */
const GRACE_MS = 5000;
/** A server that froze in the middle of a write must not hold the others up for longer. */
const IDLE_IN_TRANSACTION_LIMIT_MS = 20_000;
const KEEPALIVE_MS = 10_000;
const INT8_OID = 20;

export interface PoolOptions {
  readonly maxConnections: number;
  readonly idleTimeoutSeconds?: number;
  /** After which a connection is replaced; undefined: never. */
  readonly maxLifetimeSeconds?: number | undefined;
  /** Of a statement; 0: none. */
  readonly statementLimitMs?: number;
  /** Hears that a connection was lost, or is one to a database that is not the primary. */
  readonly onTrouble?: (problem: string) => void;
}

export interface PostgresDatabase {
  readonly db: Kysely<Schema>;
  /** Connections of before are not used again, and who waits for their answer waits no more: they may lead to what was the primary. */
  renewConnections(): void;
}

/** Of one connection, whatever it is for. */
export function clientConfig({ target, tls }: PostgresAccess, statementLimitMs: number): ClientConfig {
  const settings = {
    ...(statementLimitMs === 0 ? {} : { statement_timeout: statementLimitMs }),
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_LIMIT_MS,
    // So that a server that was cut off loses its locks.
    tcp_keepalives_idle: 10,
    tcp_keepalives_interval: 5,
    tcp_keepalives_count: 3,
  };
  return {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: () => target.password ?? process.env['PGPASSWORD'] ?? '',
    ssl: tls,
    application_name: target.applicationName ?? 'bonafide-server',
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
    connectionTimeoutMillis: (target.connectTimeoutSeconds ?? CONNECT_LIMIT_MS / 1000) * 1000,
    ...(statementLimitMs === 0 ? {} : { query_timeout: statementLimitMs + GRACE_MS }),
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_MS,
    types: { getTypeParser: wholeNumbers as typeof types.getTypeParser },
  };
}

export function connectPostgres(access: PostgresAccess, options: PoolOptions): PostgresDatabase {
  const pool = new GuardedPool(access, options);
  return {
    db: new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }),
    renewConnections: () => {
      pool.renew();
    },
  };
}

class GuardedPool implements PostgresPool {
  readonly #pool: Pool;
  readonly #options: PoolOptions;
  readonly #where: string;
  readonly #bornIn = new WeakMap<PoolClient, number>();
  readonly #inUse = new Set<GuardedClient>();
  #generation = 0;

  constructor(access: PostgresAccess, options: PoolOptions) {
    this.#options = options;
    this.#where = describeTarget(access.target);
    this.#pool = new Pool({
      ...clientConfig(access, options.statementLimitMs ?? STATEMENT_LIMIT_MS),
      max: options.maxConnections,
      // One that a dead peer keeps open must not keep the process from ending.
      allowExitOnIdle: true,
      idleTimeoutMillis: (options.idleTimeoutSeconds ?? 60) * 1000,
      ...(options.maxLifetimeSeconds === undefined ? {} : { maxLifetimeSeconds: options.maxLifetimeSeconds }),
    });
    this.#pool.on('connect', (client) => {
      this.#bornIn.set(client, this.#generation);
      client.on('error', () => undefined); // the next statement through it fails and tells
    });
    // Only its message: the driver hangs the whole connection onto the error.
    this.#pool.on('error', (error) => this.#options.onTrouble?.(errorMessage(this.#translate(error))));
  }

  renew(): void {
    this.#generation += 1;
    for (const client of this.#inUse) client.abandon();
  }

  async connect(): Promise<PostgresPoolClient> {
    // Each turn but the last ends one old connection.
    for (let turn = 0; turn <= this.#options.maxConnections; turn += 1) {
      const client = await this.#pool.connect().catch((error: unknown) => this.#fail(error));
      if (this.#bornIn.get(client) === this.#generation) return this.#guard(client);
      client.release(true);
    }
    throw new BonafideError('unavailable', `the connections to the ${this.#where} are being renewed`);
  }

  end(): Promise<void> {
    return this.#pool.end();
  }

  #guard(client: PoolClient): GuardedClient {
    const guarded: GuardedClient = new GuardedClient(client, {
      fail: (error) => this.#fail(error),
      onRelease: () => this.#inUse.delete(guarded),
    });
    this.#inUse.add(guarded);
    return guarded;
  }

  #translate(error: unknown): unknown {
    return translatePostgresError(error, this.#where);
  }

  #fail(error: unknown): never {
    const failure = this.#translate(error);
    if (isConnectionLost(error) || isReadOnly(error)) this.#options.onTrouble?.(errorMessage(failure));
    throw failure;
  }
}

/** Revisions, times and counts: all of them fit. */
function wholeNumbers(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  if (oid !== INT8_OID) return textParser(oid, format);
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value)) {
      throw new BonafideError('internal', 'the database has a number that is too large');
    }
    return value;
  };
}

const textParser = types.getTypeParser as (oid: number, format?: string) => (text: string) => unknown;
