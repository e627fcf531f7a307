/** Where the registry is kept: `datastore` in our words, or SPIRE's DataStore plugin. */
import { join } from 'node:path';
import { durationSchema } from '@bonafide/shared/config/duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { z } from 'zod';
import { DEFAULT_MAX_CONNECTIONS, LEAST_CONNECTIONS } from '../store/postgres/open-postgres-store.js';
import { parsePostgresTarget } from '../store/postgres/target.js';

export type DatastoreSettings =
  | { readonly kind: 'sqlite'; readonly path: string }
  | {
      readonly kind: 'postgres';
      readonly url: string;
      readonly readReplicaUrl: string | undefined;
      readonly pool: {
        readonly maxConnections: number;
        readonly idleTimeoutSeconds: number;
        readonly maxLifetimeSeconds: number | undefined;
      };
    };

const MOST_CONNECTIONS = 1000;
/** As SPIRE's, which cannot be set there. */
const IDLE_TIMEOUT_SECONDS = 30;

/** Kept as text, so that it is parsed where it is used; what is wrong is told without quoting it. */
const postgresUrl = parsedString((text) => {
  parsePostgresTarget(text);
  return text;
});
const connections = z.int().min(LEAST_CONNECTIONS).max(MOST_CONNECTIONS);

export const datastoreSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('sqlite'), path: z.string().min(1).optional() }),
  z.strictObject({
    type: z.literal('postgres'),
    url: postgresUrl,
    read_replica_url: postgresUrl.optional(),
    pool: z
      .strictObject({
        max_connections: connections.default(DEFAULT_MAX_CONNECTIONS),
        idle_timeout: durationSchema.default(IDLE_TIMEOUT_SECONDS),
        max_lifetime: durationSchema.optional(),
      })
      .prefault({}),
  }),
]);

/** Settings for the other database are refused: they would do nothing. */
const sqlSchema = z
  .strictObject({
    database_type: z.enum(['sqlite3', 'sqlite', 'postgres', 'postgresql']).default('sqlite3'),
    /** A file or `:memory:`; of PostgreSQL a URL, or keywords and values. */
    connection_string: z.string().min(1).optional(),
    ro_connection_string: z.string().min(1).optional(),
    max_open_conns: connections.optional(),
    /** The pool closes what is idle by time; the number is accepted and not used. */
    max_idle_conns: z.int().min(0).max(MOST_CONNECTIONS).optional(),
    conn_max_lifetime: durationSchema.optional(),
  })
  .superRefine((sql, context) => {
    const isPostgres = sql.database_type.startsWith('postgres');
    const problem = (path: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [path], message });
    };
    if (!isPostgres) {
      for (const name of [
        'ro_connection_string',
        'max_open_conns',
        'max_idle_conns',
        'conn_max_lifetime',
      ] as const) {
        if (sql[name] !== undefined) problem(name, 'is for PostgreSQL; expected database_type postgres');
      }
      return;
    }
    if (sql.connection_string === undefined) problem('connection_string', 'is missing');
    for (const name of ['connection_string', 'ro_connection_string'] as const) {
      const text = sql[name];
      if (text === undefined) continue;
      const { error } = postgresUrl.safeParse(text);
      if (error !== undefined) problem(name, error.issues[0]?.message ?? 'is not valid');
    }
  });

export const dataStorePluginSchema = z.strictObject({ sql: sqlSchema });

export function datastoreSettings(
  datastore: z.output<typeof datastoreSchema> | undefined,
  plugin: z.output<typeof dataStorePluginSchema> | undefined,
  dataFolder: string,
): DatastoreSettings {
  const defaultPath = join(dataFolder, 'datastore.sqlite3');
  if (datastore?.type === 'postgres') {
    const { url, read_replica_url: readReplicaUrl, pool } = datastore;
    return {
      kind: 'postgres',
      url,
      readReplicaUrl,
      pool: {
        maxConnections: pool.max_connections,
        idleTimeoutSeconds: pool.idle_timeout,
        maxLifetimeSeconds: pool.max_lifetime,
      },
    };
  }
  const sql = plugin?.sql;
  if (sql?.database_type.startsWith('postgres') === true) {
    return {
      kind: 'postgres',
      url: sql.connection_string ?? '',
      readReplicaUrl: sql.ro_connection_string,
      pool: {
        maxConnections: sql.max_open_conns ?? DEFAULT_MAX_CONNECTIONS,
        idleTimeoutSeconds: IDLE_TIMEOUT_SECONDS,
        maxLifetimeSeconds: sql.conn_max_lifetime,
      },
    };
  }
  return { kind: 'sqlite', path: datastore?.path ?? sql?.connection_string ?? defaultPath };
}
