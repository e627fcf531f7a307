/** Every step from an empty database to today's tables, in order; a released step is never edited, only followed by another. */
import { sql, type Kysely, type Migration } from 'kysely';
import { addAuditEvents } from './add-audit-events.js';
import { addNodeAdmission } from './add-node-admission.js';
import { addSelectorSightings } from './add-selector-sightings.js';

export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '0001_registry': { up: createRegistry },
  '0002_token_authorities': { up: addTokenAuthorities },
  '0003_federation': { up: addFederation },
  '0004_several_servers': { up: prepareForSeveralServers },
  '0006_delivery': { up: addDelivery },
  '0007_list_filters': { up: addListFilters },
  '0008_revocations_end': { up: letRevocationsEnd },
  '0009_node_proofs': { up: addNodeProofs },
  '0010_tpm_enrollment': { up: addTpmEnrollment },
  '0011_node_admission': { up: addNodeAdmission },
  '0012_selector_sightings': { up: addSelectorSightings },
  '0013_audit_events': { up: addAuditEvents },
};

async function createRegistry(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('log_head')
    .addColumn('id', 'integer', (column) => column.primaryKey().check(sql`id = 1`))
    .addColumn('log_id', 'text', (column) => column.notNull())
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('changes')
    .addColumn('revision', 'bigint', (column) => column.primaryKey())
    .addColumn('changes', 'text', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('bundles')
    .addColumn('trust_domain', 'text', (column) => column.primaryKey())
    .addColumn('content', 'text', (column) => column.notNull())
    .execute();
  await createEntries(db);
  await createNodes(db);
  await db.schema
    .createTable('join_tokens')
    .addColumn('token_hash', 'text', (column) => column.primaryKey())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('alias_id', 'text')
    .execute();
  await db.schema.createIndex('join_tokens_expires_at').on('join_tokens').column('expires_at').execute();
  await db.schema
    .createTable('authorities')
    .addColumn('authority_id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('slot', 'text', (column) => column.notNull())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('certificate_chain', 'text', (column) => column.notNull())
    .addColumn('not_before', 'bigint', (column) => column.notNull())
    .addColumn('not_after', 'bigint', (column) => column.notNull())
    .addColumn('is_tainted', 'integer', (column) => column.notNull())
    .execute();
}

async function createEntries(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('entries')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('spiffe_id', 'text', (column) => column.notNull())
    .addColumn('parent_id', 'text', (column) => column.notNull())
    .addColumn('selectors', 'text', (column) => column.notNull())
    .addColumn('selector_count', 'integer', (column) => column.notNull())
    .addColumn('x509_svid_ttl_seconds', 'bigint')
    .addColumn('jwt_svid_ttl_seconds', 'bigint')
    .addColumn('federates_with', 'text', (column) => column.notNull())
    .addColumn('federation_count', 'integer', (column) => column.notNull())
    .addColumn('is_admin', 'integer', (column) => column.notNull())
    .addColumn('is_downstream', 'integer', (column) => column.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('dns_names', 'text', (column) => column.notNull())
    .addColumn('stores_svid', 'integer', (column) => column.notNull())
    .addColumn('hint', 'text')
    .addColumn('disables_x509_svid_prefetch', 'integer', (column) => column.notNull())
    .addColumn('includes_jwt_svid_jti', 'integer', (column) => column.notNull())
    .addColumn('revision_number', 'bigint', (column) => column.notNull())
    .addColumn('created_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('entries_spiffe_id_parent_id')
    .on('entries')
    .columns(['spiffe_id', 'parent_id'])
    .execute();
  await db.schema.createIndex('entries_parent_id').on('entries').column('parent_id').execute();
  await db.schema
    .createIndex('entries_expires_at')
    .on('entries')
    .column('expires_at')
    .where('expires_at', 'is not', null)
    .execute();
  await db.schema
    .createIndex('entries_hint')
    .on('entries')
    .column('hint')
    .where('hint', 'is not', null)
    .execute();
  // The sets of an entry once more, the other way round: for the filters of a list. No foreign key to entries, because
  // checking one at every delete would need a second index as large as the table.
  await db.schema
    .createTable('entry_selectors')
    .addColumn('selector', 'text', (column) => column.notNull())
    .addColumn('entry_id', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('entry_selectors_key', ['selector', 'entry_id'])
    .execute();
  await db.schema
    .createTable('entry_federation')
    .addColumn('trust_domain', 'text', (column) => column.notNull().references('bundles.trust_domain'))
    .addColumn('entry_id', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('entry_federation_key', ['trust_domain', 'entry_id'])
    .execute();
}

async function createNodes(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('nodes')
    .addColumn('agent_id', 'text', (column) => column.primaryKey())
    .addColumn('attestation_type', 'text', (column) => column.notNull())
    .addColumn('serial_number', 'text')
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('next_serial_number', 'text')
    .addColumn('next_expires_at', 'bigint')
    .addColumn('selectors', 'text', (column) => column.notNull())
    .addColumn('selector_count', 'integer', (column) => column.notNull())
    .addColumn('is_banned', 'integer', (column) => column.notNull())
    .addColumn('can_reattest', 'integer', (column) => column.notNull())
    .addColumn('agent_version', 'text')
    .execute();
  await db.schema.createIndex('nodes_expires_at').on('nodes').column('expires_at').execute();
  await db.schema
    .createTable('node_selectors')
    .addColumn('selector', 'text', (column) => column.notNull())
    .addColumn('agent_id', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('node_selectors_key', ['selector', 'agent_id'])
    .execute();
}

async function addTokenAuthorities(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('authorities').addColumn('upstream_authority_id', 'text').execute();
  await db.schema.alterTable('authorities').addColumn('public_key', 'text').execute();
  await db.schema
    .createTable('revoked_authorities')
    .addColumn('authority_id', 'text', (column) => column.primaryKey())
    .execute();
}

async function addFederation(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('federation_relationships')
    .addColumn('trust_domain', 'text', (column) => column.primaryKey())
    .addColumn('bundle_endpoint_url', 'text', (column) => column.notNull())
    .addColumn('bundle_endpoint_profile', 'text', (column) => column.notNull())
    .addColumn('endpoint_spiffe_id', 'text')
    .execute();
}

async function prepareForSeveralServers(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('changes').addColumn('nonce', 'text').execute();
  await db.schema
    .alterTable('authorities')
    .addColumn('server_id', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
}

/** Indexes that find the rows of a filter in the order of their key, so that a page is read from where the last one ended. */
async function addListFilters(db: Kysely<unknown>): Promise<void> {
  const bySpiffeId = db.schema.createIndex('entries_spiffe_id').on('entries');
  await bySpiffeId.columns(['spiffe_id', 'id']).execute();
  await db.schema.createIndex('entries_parent_id_id').on('entries').columns(['parent_id', 'id']).execute();
  await db.schema.dropIndex('entries_parent_id').execute();
  await db.schema
    .createIndex('entries_hint_id')
    .on('entries')
    .columns(['hint', 'id'])
    .where('hint', 'is not', null)
    .execute();
  await db.schema.dropIndex('entries_hint').execute();
  // Partial, for the value that few rows have. As literals: SQLite takes no parameters in an index.
  await sql`create index entries_downstream on entries (id) where is_downstream = 1`.execute(db);
  await sql`create index nodes_banned on nodes (agent_id) where is_banned = 1`.execute(db);
  await sql`create index nodes_cannot_reattest on nodes (agent_id) where can_reattest = 0`.execute(db);
  await db.schema
    .createIndex('nodes_attestation_type')
    .on('nodes')
    .columns(['attestation_type', 'agent_id'])
    .execute();
}

/** What servers on one database ask each other; empty while nobody waits. */
async function addDelivery(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('delivery_questions')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('revision', 'bigint', (column) => column.notNull())
    .addColumn('asked_by', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('delivery_answers')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('question_id', 'text', (column) =>
      column.notNull().references('delivery_questions.id').onDelete('cascade'),
    )
    .addColumn('server_id', 'text', (column) => column.notNull())
    .addColumn('body', 'text', (column) => column.notNull())
    .addColumn('written_at', 'bigint', (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('delivery_answers_question_id')
    .on('delivery_answers')
    .column('question_id')
    .execute();
}

/** Of those that were written before it is not known when they end: they stay. */
async function letRevocationsEnd(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('revoked_authorities').addColumn('expires_at', 'bigint').execute();
}

/** Beside the nodes, for proofs come often and nothing is told of them. */
async function addNodeProofs(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('nodes').addColumn('quarantine', 'text').execute();
  await db.schema
    .createTable('node_proofs')
    .addColumn('agent_id', 'text', (column) => column.primaryKey())
    .addColumn('proven_at', 'bigint')
    .addColumn('requested_at', 'bigint')
    .addColumn('record', 'text')
    .execute();
}

async function addTpmEnrollment(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tpm_enrollments')
    .addColumn('ek_hash', 'text', (column) => column.primaryKey())
    .addColumn('note', 'text', (column) => column.notNull())
    .addColumn('enrolled_at', 'bigint', (column) => column.notNull())
    .execute();
}
