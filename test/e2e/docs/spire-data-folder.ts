/** The data folder of a SPIRE server that has an agent and a workload: its database and its keys. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createSampleAuthorities,
  createTables,
  insertRow,
} from '@bonafide/server/spire-import/spire-database-samples';
import { SqliteDriver } from '@bonafide/server/store/sqlite-driver';

const AGENT = 'spiffe://example.org/spire/agent/join_token/node1';

export async function makeSpireDataFolder(folder: string): Promise<void> {
  const authorities = await createSampleAuthorities(new Date());
  await writeFile(join(folder, 'keys.json'), authorities.keysJson, { mode: 0o600 });
  const rows = {
    migrations: { version: 25, code_version: '1.15.3' },
    bundles: { trust_domain: 'spiffe://example.org', data: authorities.bundle },
    ca_journals: { data: authorities.journal, active_x509_authority_id: authorities.x509AuthorityId },
    attested_node_entries: {
      ...{ spiffe_id: AGENT, data_type: 'join_token' },
      ...{ serial_number: '1000', expires_at: '2096-01-02 03:04:05+00:00' },
    },
    registered_entries: {
      ...{ created_at: '2026-01-02 03:04:05+00:00', entry_id: 'entry-1', revision_number: 1 },
      ...{ spiffe_id: 'spiffe://example.org/web', parent_id: AGENT, ttl: 600 },
    },
    selectors: { registered_entry_id: 1, type: 'unix', value: 'uid:1000' },
  };
  const inserts = Object.entries(rows).map(([table, row]) => insertRow('sqlite', table, row));
  const database = new SqliteDriver(join(folder, 'datastore.sqlite3'));
  database.exec(`BEGIN; ${[...createTables('sqlite'), ...inserts].join('; ')}; COMMIT`);
  database.close();
}
