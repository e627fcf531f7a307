/** The step that adds the table of selectors that processes have presented. */
import type { Kysely } from 'kysely';

export async function addSelectorSightings(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('selector_sightings')
    .addColumn('selector', 'text', (column) => column.primaryKey())
    .addColumn('agent_id', 'text', (column) => column.notNull())
    .addColumn('seen_at', 'bigint', (column) => column.notNull())
    .execute();
}
