/** The step that adds the table of nodes that asked to be let in. */
import type { Kysely } from 'kysely';

export async function addNodeAdmission(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('node_admissions')
    .addColumn('agent_id', 'text', (column) => column.primaryKey())
    .addColumn('attestation_type', 'text', (column) => column.notNull())
    .addColumn('selectors', 'text', (column) => column.notNull())
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('first_asked_at', 'bigint', (column) => column.notNull())
    .addColumn('last_asked_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint', (column) => column.notNull())
    .addColumn('decisions', 'text', (column) => column.notNull())
    .execute();
}
