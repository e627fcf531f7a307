import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { parseConfig } from '@bonafide/shared/config/load-config';
import { describe, expect, it } from 'vitest';
import { parsePostgresTarget } from '../store/postgres/target.js';
import { datastoreSettings, type DatastoreSettings } from './datastore-config.js';
import { serverConfigSchema } from './server-config.js';

const SECRET = 'hunter2';

function settingsOf(text: string): DatastoreSettings {
  const config = parseConfig('server.yaml', `server: { trust_domain: a }\n${text}`, serverConfigSchema);
  return datastoreSettings(config.datastore, config.plugins.DataStore, '/data');
}

function problemOf(work: () => unknown): string {
  try {
    work();
    return 'none';
  } catch (error) {
    return errorMessage(error);
  }
}

describe('the configuration of the datastore', () => {
  it.each([
    ['', { kind: 'sqlite', path: '/data/datastore.sqlite3' }],
    ['datastore: { type: sqlite, path: /x.db }', { kind: 'sqlite', path: '/x.db' }],
    ['plugins: { DataStore: { sql: { connection_string: /y.db } } }', { kind: 'sqlite', path: '/y.db' }],
    [
      'datastore: { type: postgres, url: "postgres://u@h/d", read_replica_url: "postgres://u@r/d", pool: { max_connections: 5 } }',
      {
        kind: 'postgres',
        url: 'postgres://u@h/d',
        readReplicaUrl: 'postgres://u@r/d',
        pool: { maxConnections: 5, idleTimeoutSeconds: 30, maxLifetimeSeconds: undefined },
      },
    ],
    [
      'plugins: { DataStore: { sql: { database_type: postgres, connection_string: "dbname=d user=u", max_open_conns: 7, max_idle_conns: 2, conn_max_lifetime: 1h } } }',
      {
        kind: 'postgres',
        url: 'dbname=d user=u',
        readReplicaUrl: undefined,
        pool: { maxConnections: 7, idleTimeoutSeconds: 30, maxLifetimeSeconds: 3600 },
      },
    ],
  ])('reads %s', (text, expected) => {
    expect(settingsOf(text)).toEqual(expected);
  });

  it.each([
    ['datastore: { type: sqlite }\nplugins: { DataStore: { sql: {} } }', 'expected one of them'],
    ['datastore: { type: postgres, url: "postgres://u@h/d", pool: { max_connections: 2 } }', '3'],
    [
      'datastore: { type: postgres, url: "postgres://u:hunter2@h/d?x=y" }',
      '"x" of the database is not known',
    ],
    ['plugins: { DataStore: { sql: { ro_connection_string: x } } }', 'is for PostgreSQL'],
    ['plugins: { DataStore: { sql: { database_type: postgres } } }', 'is missing'],
  ])('refuses %s', (text, problem) => {
    const said = problemOf(() => settingsOf(text));
    expect(said).toContain(problem);
    expect(said).not.toContain(SECRET);
  });
});

describe('where PostgreSQL is', () => {
  it.each([
    [
      'postgres://u:p%40@h:1/d?sslmode=disable',
      { user: 'u', password: 'p@', host: 'h', port: 1, database: 'd', tls: { kind: 'off' } },
    ],
    [
      'postgresql://u@[::1]/d?sslmode=verify-full',
      { host: '::1', port: 5432, tls: { kind: 'on', verify: 'full' } },
    ],
    [
      "dbname=d user='u v' password='it\\'s' host=h",
      { user: 'u v', password: "it's", tls: { kind: 'on', verify: 'none' } },
    ],
    ['dbname=d user=u host=/run sslmode=disable', { host: '/run', tls: { kind: 'off' } }],
    [
      'dbname=d user=u sslrootcert=/ca.pem',
      { host: 'localhost', tls: { kind: 'on', verify: 'authority', authorityPath: '/ca.pem' } },
    ],
  ])('is read from %s', (text, expected) => {
    expect(parsePostgresTarget(text)).toMatchObject(expected);
  });

  it.each([
    ['postgres://u:hunter2@h:99999/d', 'cannot be read'],
    ['postgres://u:hunter2@a,b/d', 'several hosts'],
    ['postgres://u:hunter2@h/d?sslmode=prefer', 'sslmode "prefer"'],
    ['postgres://u:hunter2%ff@h/d', 'percent encoding'],
    ['postgres://u:hunter2@h', 'dbname'],
    ['dbname=d password=hunter2', 'user of the database is missing'],
    ["dbname=d user=u password='hunter2", 'no closing one'],
    ['dbname=d user=u password=hunter2 passfile=/x', '"passfile"'],
    ['dbname=d user=u user=v password=hunter2', 'given twice'],
    ['dbname=d user=u password=hunter2 sslcert=/x', 'belong together'],
    ['hunter2', 'keyword=value'],
  ])('is refused, without its password, from %s', (text, problem) => {
    const said = problemOf(() => parsePostgresTarget(text));
    expect(said).toContain(problem);
    expect(said).not.toContain(SECRET);
  });
});
