/** Fills a new SQLite database with a large registry, with prepared statements: through the store it would take minutes. */
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { openStore } from '@bonafide/server/store/open-store';
import { SqliteDriver } from '@bonafide/server/store/sqlite-driver';
import { entryRows, FOREIGN_TRUST_DOMAINS, nodeRows, type RegistrySize } from './registry-rows.js';

/** @param path of a database that is not there yet. */
export async function makeRegistry(path: string, size: RegistrySize): Promise<void> {
  const store = await openStore({ path, log: silentLogger });
  await store.write(async ({ bundles }) => {
    for (const name of FOREIGN_TRUST_DOMAINS) {
      await bundles.put({
        trustDomain: parseTrustDomain(name),
        x509Authorities: [],
        jwtAuthorities: [],
        witAuthorities: [],
        refreshHintSeconds: undefined,
        sequenceNumber: 1,
      });
    }
  });
  await store.close();
  const database = new SqliteDriver(path);
  // A benchmark's file: when the machine dies meanwhile, it is made again.
  database.pragma('synchronous = OFF');
  database.pragma('cache_size = -400000');
  const inserter = (table: string, columns: readonly string[]) => {
    const names = columns.map((column) => `@${column}`);
    return database.prepare(`insert into ${table} (${columns.join()}) values (${names.join()})`);
  };
  database.exec('begin');
  let insertNode;
  const nodeSelector = inserter('node_selectors', ['selector', 'agent_id']);
  for (const row of nodeRows(size)) {
    insertNode ??= inserter('nodes', Object.keys(row));
    insertNode.run(row);
    for (const selector of membersOf(row.selectors)) nodeSelector.run({ selector, agent_id: row.agent_id });
  }
  let insertEntry;
  const selectors: [selector: string, entryId: string][] = [];
  const federation = inserter('entry_federation', ['trust_domain', 'entry_id']);
  for (const row of entryRows(size)) {
    insertEntry ??= inserter('entries', Object.keys(row));
    insertEntry.run(row);
    for (const selector of membersOf(row.selectors)) selectors.push([selector, row.id]);
    for (const name of membersOf(row.federates_with))
      federation.run({ trust_domain: name, entry_id: row.id });
  }
  // In the order of their key: many times faster than in any other.
  selectors.sort(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1));
  const entrySelector = database.prepare('insert into entry_selectors (selector, entry_id) values (?, ?)');
  for (const pair of selectors) entrySelector.run(...pair);
  database.exec('commit');
  database.close();
}

const knownMembers = new Map<string, readonly string[]>();

function membersOf(text: string): readonly string[] {
  let members = knownMembers.get(text);
  if (members === undefined) {
    members = JSON.parse(text) as readonly string[];
    if (knownMembers.size < 10_000) knownMembers.set(text, members);
  }
  return members;
}
