import { writeFile } from 'node:fs/promises';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DiskKeyManager } from '../authority/disk-key-manager.js';
import { readKeyFile } from '../authority/key-file.js';
import { openStore } from '../store/open-store.js';
import { openSpirePostgres } from '../store/spire/open-spire-postgres.js';
import { openSpireSqlite } from '../store/spire/open-spire-sqlite.js';
import type { SpireDatabase } from '../store/spire/spire-database.js';
import { SqliteDriver } from '../store/sqlite-driver.js';
import { usePostgres } from '../store/store-fixtures.js';
import type { Store } from '../store/store.js';
import type { ImportReport } from './import-report.js';
import { readDatastore } from './read-datastore.js';
import { runImport } from './run-import.js';
import {
  createSampleAuthorities,
  createTables,
  encodeProtobuf,
  insertRow,
  type Dialect,
  type SampleAuthorities,
  type SampleRow,
} from './spire-database-samples.js';

const TRUST_DOMAIN = parseTrustDomain('example.org');
const AGENT = 'spiffe://example.org/spire/agent/join_token/one';
const TIME = '2026-01-02 03:04:05.123456+00:00';
const LATER = '2036-01-02 03:04:05+00:00';

let directory: TemporaryDirectory;
let store: Store;
let keyManager: DiskKeyManager;
let authorities: SampleAuthorities;

beforeEach(async () => {
  directory = createTemporaryDirectory();
  store = await openStore({ path: directory.join('ours.sqlite3'), log: silentLogger });
  keyManager = await DiskKeyManager.open(directory.join('ours-keys.json'));
  authorities = await createSampleAuthorities(new Date());
  await writeFile(directory.join('keys.json'), authorities.keysJson, { mode: 0o600 });
});
afterEach(async () => {
  await store.close();
  directory.remove();
});

/** Statements of a whole datastore. */
function sampleStatements(dialect: Dialect, version = 25): string[] {
  const rows: readonly (readonly [string, SampleRow])[] = [
    ['migrations', { version, code_version: '1.15.3' }],
    ['bundles', { trust_domain: 'spiffe://example.org', data: authorities.bundle }],
    [
      'bundles',
      {
        trust_domain: 'spiffe://other.example',
        data: encodeProtobuf([
          [1, 'spiffe://other.example'],
          [5, 3],
        ]),
      },
    ],
    [
      'registered_entries',
      {
        ...{ created_at: TIME, entry_id: 'entry-1', spiffe_id: 'spiffe://example.org/web', parent_id: AGENT },
        ...{ ttl: 600, admin: true, downstream: false, expiry: 2_000_000_000, revision_number: 4 },
        ...{
          store_svid: false,
          hint: 'main',
          jwt_svid_ttl: 60,
          additional_attributes: encodeProtobuf([[1, 1]]),
        },
      },
    ],
    [
      'registered_entries',
      {
        ...{ created_at: TIME, entry_id: 'alias', spiffe_id: 'spiffe://example.org/nodes' },
        ...{ parent_id: 'spiffe://example.org/spire/server', ttl: null, admin: null, downstream: null },
        ...{ expiry: null, revision_number: null, store_svid: null, hint: null, jwt_svid_ttl: null },
      },
    ],
    ['selectors', { registered_entry_id: 1, type: 'unix', value: 'uid:1000' }],
    ['selectors', { registered_entry_id: 1, type: 'unix', value: 'gid:1000' }],
    ['selectors', { registered_entry_id: 2, type: 'join_token', value: 'x' }],
    ['dns_names', { registered_entry_id: 1, value: 'b.example' }],
    ['dns_names', { registered_entry_id: 1, value: 'a.example' }],
    ['federated_registration_entries', { bundle_id: 2, registered_entry_id: 1 }],
    [
      'attested_node_entries',
      {
        ...{ spiffe_id: AGENT, data_type: 'join_token', serial_number: '291', expires_at: LATER },
        ...{ new_serial_number: '4096', new_expires_at: LATER, can_reattest: false, agent_version: '1.15.3' },
      },
    ],
    [
      'attested_node_entries',
      { spiffe_id: `${AGENT}-banned`, data_type: 'join_token', serial_number: '', expires_at: LATER },
    ],
    ['node_resolver_map_entries', { spiffe_id: AGENT, type: 'join_token', value: 'x' }],
    ['join_tokens', { token: 'unused', expiry: 2_000_000_000 }],
    ['join_tokens', { token: 'over', expiry: 1_000_000_000 }],
    [
      'federated_trust_domains',
      {
        ...{ trust_domain: 'other.example', bundle_endpoint_url: 'https://other.example/bundle' },
        ...{
          bundle_endpoint_profile: 'https_spiffe',
          endpoint_spiffe_id: 'spiffe://other.example/spire/server',
        },
      },
    ],
    ['ca_journals', { data: authorities.journal, active_x509_authority_id: authorities.x509AuthorityId }],
  ];
  return [...createTables(dialect), ...rows.map(([table, row]) => insertRow(dialect, table, row))];
}

function writeSqlite(statements: readonly string[]): string {
  const path = directory.join('spire.sqlite3');
  const connection = new SqliteDriver(path);
  for (const statement of statements) connection.exec(statement);
  connection.close();
  return path;
}

async function importFrom(
  database: SpireDatabase,
  options: { dryRun?: boolean; prune?: boolean } = {},
): Promise<ImportReport> {
  try {
    const state = await readDatastore({ database, trustDomain: TRUST_DOMAIN });
    return await runImport({
      ...{ store, keyManager, clock: systemClock, state, warnings: [] },
      keys: await readKeyFile(directory.join('keys.json')),
      isDryRun: options.dryRun ?? false,
      prune: options.prune ?? false,
    });
  } finally {
    await database.close();
  }
}

const importSqlite = async (options: { dryRun?: boolean; prune?: boolean } = {}): Promise<ImportReport> =>
  importFrom(await openSpireSqlite(directory.join('spire.sqlite3')), options);

async function expectEverything(): Promise<void> {
  expect(await store.entries.get('entry-1')).toEqual({
    id: 'entry-1',
    spiffeId: 'spiffe://example.org/web',
    parentId: AGENT,
    selectors: [
      { type: 'unix', value: 'gid:1000' },
      { type: 'unix', value: 'uid:1000' },
    ],
    x509SvidTtlSeconds: 600,
    jwtSvidTtlSeconds: 60,
    federatesWith: ['other.example'],
    isAdmin: true,
    isDownstream: false,
    expiresAt: new Date(2_000_000_000_000),
    dnsNames: ['b.example', 'a.example'],
    storesSvid: false,
    hint: 'main',
    disablesX509SvidPrefetch: true,
    includesJwtSvidJti: false,
    revisionNumber: 4,
    createdAt: new Date('2026-01-02T03:04:05.123Z'),
  });
  expect((await store.entries.get('alias'))?.revisionNumber).toBe(0);
  expect(await store.nodes.get(parseSpiffeId(AGENT))).toMatchObject({
    serialNumber: '0123',
    nextSerialNumber: '1000',
    expiresAt: new Date('2036-01-02T03:04:05Z'),
    isBanned: false,
    selectors: [{ type: 'join_token', value: 'x' }],
    agentVersion: '1.15.3',
  });
  expect((await store.nodes.get(parseSpiffeId(`${AGENT}-banned`)))?.isBanned).toBe(true);
  const bundle = await store.bundles.get(TRUST_DOMAIN);
  expect(bundle).toMatchObject({ sequenceNumber: 7, refreshHintSeconds: 300 });
  expect(bundle?.x509Authorities.map(({ certificate }) => certificate)).toEqual([authorities.certificate]);
  expect(bundle?.jwtAuthorities.map(({ keyId }) => keyId)).toEqual([authorities.keyId]);
  expect(await store.federation.get(parseTrustDomain('other.example'))).toMatchObject({
    endpoint: { profile: { kind: 'https_spiffe', endpointId: 'spiffe://other.example/spire/server' } },
  });
  const records = await store.authorities.list();
  expect(records.map(({ kind, slot }) => [kind, slot])).toEqual([
    ['x509', 'active'],
    ['jwt', 'active'],
  ]);
  for (const { keyId } of records) expect(await keyManager.getSigner(keyId)).toBeDefined();
  const spent = await store.write(({ joinTokens }) => joinTokens.spend('unused'));
  expect(spent?.expiresAt).toEqual(new Date(2_000_000_000_000));
}

describe("SPIRE's datastore in SQLite", () => {
  it('is carried over with all that it holds', async () => {
    writeSqlite(sampleStatements('sqlite'));
    const report = await importSqlite();
    expect(report.revision).toBe(1);
    expect(report.notCarried.map(({ kind, reason }) => [kind, reason])).toEqual([
      ['join_tokens', '1 have expired'],
    ]);
    await expectEverything();
  });

  it('takes one revision, and none the second time', async () => {
    writeSqlite(sampleStatements('sqlite'));
    await importSqlite();
    const again = await importSqlite();
    expect(again.revision).toBeUndefined();
    expect(again.tallies.entries).toMatchObject({ created: 0, updated: 0, unchanged: 2, onlyHere: 0 });
    expect(await store.currentRevision()).toBe(1);
  });

  it('brings over what changed since, at the revision that it has there', async () => {
    const path = writeSqlite(sampleStatements('sqlite'));
    await importSqlite();
    const connection = new SqliteDriver(path);
    connection.exec(
      "UPDATE registered_entries SET hint = 'other', revision_number = 9 WHERE entry_id = 'entry-1'",
    );
    connection.close();
    expect((await importSqlite()).tallies.entries).toMatchObject({ updated: 1, unchanged: 1 });
    expect(await store.entries.get('entry-1')).toMatchObject({ hint: 'other', revisionNumber: 9 });
  });

  it('leaves what is newer here', async () => {
    writeSqlite(sampleStatements('sqlite'));
    await importSqlite();
    const entry = await store.entries.get('entry-1');
    if (entry === undefined) throw new Error('the entry is not there');
    await store.write(({ entries }) => entries.update(entry.id, { ...entry, hint: 'ours' }));
    expect((await importSqlite()).tallies.entries).toMatchObject({ updated: 0, newerHere: 1 });
    expect((await store.entries.get('entry-1'))?.hint).toBe('ours');
  });

  it('deletes what only we have when it is told to prune, and never otherwise', async () => {
    writeSqlite(sampleStatements('sqlite'));
    await importSqlite();
    const entry = await store.entries.get('entry-1');
    if (entry === undefined) throw new Error('the entry is not there');
    const content = { ...entry, spiffeId: parseSpiffeId('spiffe://example.org/ours') };
    await store.write(({ entries }) => entries.create(content, { id: 'ours', createdAt: new Date() }));
    expect((await importSqlite()).tallies.entries).toMatchObject({ onlyHere: 1, pruned: 0 });
    expect((await importSqlite({ prune: true })).tallies.entries).toMatchObject({ onlyHere: 0, pruned: 1 });
    expect(await store.entries.get('ours')).toBeUndefined();
  });

  it('is only looked at in a dry run', async () => {
    writeSqlite(sampleStatements('sqlite'));
    const report = await importSqlite({ dryRun: true });
    expect(report.tallies.entries.created).toBe(2);
    expect(await store.currentRevision()).toBe(0);
    expect(await keyManager.listKeyIds()).toEqual([]);
  });

  it('brings no authority whose key is another one', async () => {
    writeSqlite(sampleStatements('sqlite'));
    const others = await createSampleAuthorities(new Date());
    await writeFile(directory.join('keys.json'), others.keysJson, { mode: 0o600 });
    const report = await importSqlite();
    expect(report.tallies.authorities.created).toBe(0);
    expect(report.notCarried.some(({ reason }) => reason.includes('keys are those of no authority'))).toBe(
      true,
    );
    expect((await store.bundles.get(TRUST_DOMAIN))?.x509Authorities).toHaveLength(1);
  });

  it.each([
    [
      'another trust domain',
      "UPDATE registered_entries SET parent_id = 'spiffe://a.example/x'; DELETE FROM attested_node_entries; DELETE FROM ca_journals",
      'is of trust domain a.example; expected example.org',
    ],
    ['a schema of the future', 'UPDATE migrations SET version = 26', 'has schema 26, which is not known'],
    ['a schema of long ago', 'UPDATE migrations SET version = 20', 'has schema 20; expected schema 21 to 25'],
    ['no version', 'DELETE FROM migrations', 'does not say its schema version'],
    ['a table that is missing', 'DROP TABLE selectors', 'no table selectors'],
    [
      'a view in the place of a table',
      'DROP TABLE selectors; CREATE VIEW selectors AS SELECT 1 AS id',
      'no table selectors',
    ],
    ['a column that is missing', 'ALTER TABLE join_tokens DROP COLUMN expiry', 'has no column expiry'],
    [
      'a bundle that is no bundle',
      "UPDATE bundles SET data = x'ff' WHERE id = 1",
      'has no bundle of trust domain example.org',
    ],
  ])('with %s is refused, and nothing is changed', async (_what, statement, message) => {
    writeSqlite([...sampleStatements('sqlite'), statement]);
    await expect(importSqlite()).rejects.toThrow(message);
    expect(await store.currentRevision()).toBe(0);
  });

  it.each([
    ['an id that is none', "UPDATE registered_entries SET entry_id = 'a b' WHERE id = 1", 'entries'],
    ['no id', 'UPDATE registered_entries SET entry_id = NULL WHERE id = 1', 'entries'],
    ['a negative time to live', 'UPDATE registered_entries SET ttl = -1 WHERE id = 1', 'entries'],
    ['a number that is text', "UPDATE registered_entries SET ttl = 'long' WHERE id = 1", 'entries'],
    ['a text that is a blob', "UPDATE registered_entries SET hint = x'00ff' WHERE id = 1", 'entries'],
    ['a huge text', 'UPDATE registered_entries SET hint = hex(zeroblob(1000000)) WHERE id = 1', 'entries'],
    ['no selectors', 'DELETE FROM selectors WHERE registered_entry_id = 1', 'entries'],
    ['a bundle that is gone', 'DELETE FROM bundles WHERE id = 2', 'entries'],
    [
      'attributes that are no message',
      "UPDATE registered_entries SET additional_attributes = x'0f' WHERE id = 1",
      'entries',
    ],
    [
      'a serial number that is none',
      "UPDATE attested_node_entries SET serial_number = '0x10' WHERE id = 1",
      'agents',
    ],
    ['a time that is none', "UPDATE attested_node_entries SET expires_at = 'soon' WHERE id = 1", 'agents'],
    ['a journal that is none', "UPDATE ca_journals SET data = x'0a05'", 'authorities'],
    [
      'an endpoint that is none',
      "UPDATE federated_trust_domains SET bundle_endpoint_url = 'http://x'",
      'federation_relationships',
    ],
  ])('with %s is carried over but for that', async (_what, statement, kind) => {
    writeSqlite([...sampleStatements('sqlite'), statement]);
    const report = await importSqlite();
    expect(report.notCarried.map((finding) => finding.kind)).toContain(kind);
    expect(await store.entries.get('alias')).toBeDefined();
  });

  it('that is damaged is refused in words', async () => {
    await writeFile(directory.join('spire.sqlite3'), 'no database at all, but a text');
    await expect(importSqlite()).rejects.toThrow('is not an SQLite database');
    await writeFile(directory.join('spire.sqlite3'), `SQLite format 3\0${'x'.repeat(5000)}`);
    await expect(importSqlite()).rejects.toThrow('spire.sqlite3');
  });
});

describe("SPIRE's datastore in PostgreSQL", () => {
  const postgres = usePostgres();

  it('is carried over with all that it holds', async () => {
    const url = await postgres.url();
    const name = new URL(url).pathname.slice(1);
    for (const statement of sampleStatements('postgres')) await postgres.server.query(statement, name);
    const report = await importFrom(await openSpirePostgres(url));
    expect(report.tallies.entries.created).toBe(2);
    await expectEverything();
  });
});
