/** Which databases of SPIRE's are read: the tables by their columns, and the versions of the schema in which they are these. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { SpireDatabase, SpireTable } from '../store/spire/spire-database.js';
import { numberIn, textIn } from './spire-values.js';

const OLDEST_SCHEMA = 21;
const NEWEST_SCHEMA = 25;

const REMEDY = `expected schema ${OLDEST_SCHEMA} to ${NEWEST_SCHEMA}, of SPIRE 1.6.0 to 1.15`;

export const TABLES = {
  bundles: { name: 'bundles', columns: ['id', 'trust_domain', 'data'] },
  entries: {
    name: 'registered_entries',
    columns: [
      ...['id', 'created_at', 'entry_id', 'spiffe_id', 'parent_id', 'ttl', 'admin', 'downstream', 'expiry'],
      ...['revision_number', 'store_svid', 'hint', 'jwt_svid_ttl'],
    ],
  },
  selectors: { name: 'selectors', columns: ['registered_entry_id', 'id', 'type', 'value'] },
  dnsNames: { name: 'dns_names', columns: ['id', 'registered_entry_id', 'value'] },
  federatedEntries: { name: 'federated_registration_entries', columns: ['registered_entry_id', 'bundle_id'] },
  nodes: {
    name: 'attested_node_entries',
    columns: [
      ...[
        'id',
        'spiffe_id',
        'data_type',
        'serial_number',
        'expires_at',
        'new_serial_number',
        'new_expires_at',
      ],
      'can_reattest',
    ],
  },
  nodeSelectors: { name: 'node_resolver_map_entries', columns: ['id', 'spiffe_id', 'type', 'value'] },
  joinTokens: { name: 'join_tokens', columns: ['id', 'token', 'expiry'] },
  relationships: {
    name: 'federated_trust_domains',
    columns: ['id', 'trust_domain', 'bundle_endpoint_url', 'bundle_endpoint_profile', 'endpoint_spiffe_id'],
  },
} as const satisfies Record<string, SpireTable>;

const MIGRATIONS: SpireTable = { name: 'migrations', columns: ['id', 'version', 'code_version'] };
const JOURNALS: SpireTable = { name: 'ca_journals', columns: ['id', 'data'] };

export interface SpireSchema {
  readonly version: number;
  readonly codeVersion: string;
  readonly entries: SpireTable;
  readonly nodes: SpireTable;
  /** Undefined before schema 23. */
  readonly journals: SpireTable | undefined;
}

/** @throws BonafideError `failed_precondition` naming what is no database of a SPIRE server that is known. */
export async function readSpireSchema(database: SpireDatabase): Promise<SpireSchema> {
  const { description } = database;
  const refuse = (what: string): BonafideError =>
    new BonafideError('failed_precondition', `${description} ${what}`);
  if (!hasAll(await database.columnsOf(MIGRATIONS.name), MIGRATIONS)) {
    throw refuse('is not the datastore of a SPIRE server: it has no table migrations with a version');
  }
  const rows = [];
  for await (const row of database.rows(MIGRATIONS)) {
    rows.push(row);
    if (rows.length > 1) break;
  }
  const [row] = rows;
  if (row === undefined || rows.length > 1)
    throw refuse('does not say its schema version in exactly one row of migrations');
  const version = numberIn(row, 'version');
  if (version < OLDEST_SCHEMA) {
    throw refuse(`has schema ${version}; ${REMEDY}: start a later SPIRE on it once, so that it is migrated`);
  }
  if (version > NEWEST_SCHEMA) throw refuse(`has schema ${version}, which is not known; ${REMEDY}`);
  const known = {
    entries: version < 25 ? TABLES.entries : withColumn(TABLES.entries, 'additional_attributes'),
    nodes: version < 24 ? TABLES.nodes : withColumn(TABLES.nodes, 'agent_version'),
    journals: version < 23 ? undefined : JOURNALS,
  };
  for (const table of Object.values({ ...TABLES, ...known })) {
    if (table === undefined) continue;
    const columns = await database.columnsOf(table.name);
    if (columns.size === 0) throw refuse(`has schema ${version}, but no table ${table.name}`);
    const missing = table.columns.filter((column) => !columns.has(column));
    if (missing.length > 0) {
      throw refuse(`has schema ${version}, but its table ${table.name} has no column ${missing.join(', ')}`);
    }
  }
  return { version, codeVersion: textIn(row, 'code_version'), ...known };
}

function withColumn(table: SpireTable, column: string): SpireTable {
  return { ...table, columns: [...table.columns, column] };
}

function hasAll(present: ReadonlySet<string>, { columns }: SpireTable): boolean {
  return columns.every((column) => present.has(column));
}
