/** Makes a backup of a server, which may be running and writing: its database as of one commit, and its keys when asked. */
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { readFileIfExists } from '@bonafide/shared/runtime/private-file';
import { openDump, type DatabaseDump, type DumpedTable } from '../store/dump/database-dump.js';
import { SERVER_ID_FILE } from '../store/server-id.js';
import { ArchiveWriter } from './archive-writer.js';
import type { BackedUpServer } from './backed-up-server.js';
import { encryptKeyFile } from './key-file-part.js';
import { FORMAT, KEYS_NAME, MANIFEST_NAME, SEAL_NAME, type Manifest, type TablePart } from './manifest.js';
import { encodeRows } from './table-lines.js';

export interface BackupOptions {
  readonly server: BackedUpServer;
  /** Must not be there yet. */
  readonly path: string;
  /** Undefined: without the keys. */
  readonly passphrase: string | undefined;
  readonly programVersion: string;
  readonly clock: Clock;
  /** How many rows there are in all, and as they are written. */
  readonly progress?: { start(total: number): void; advance(rows: number): void };
}

/** @throws BonafideError saying what cannot be read or written; there is no file then. */
export async function createBackup(options: BackupOptions): Promise<Manifest> {
  const { server, path, passphrase, programVersion, clock, progress } = options;
  const created = clock.now();
  await using dump = await openDump(server.database);
  await checkTrustDomain(dump, server);
  await using archive = await ArchiveWriter.create(path, created);
  if (progress !== undefined) progress.start(await countRows(dump));
  const tables: TablePart[] = [];
  for (const table of dump.tables) tables.push(await addTable(archive, dump, table, progress));
  const parts: Manifest['parts'] = [...tables];
  if (passphrase !== undefined) {
    // After the database: a key is made before its authority is written down.
    const keys = await encryptKeyFile(server.keysPath, server.trustDomain, passphrase);
    parts.push({ kind: 'keys', ...(await archive.add(KEYS_NAME, once(keys))) });
  }
  const manifest: Manifest = {
    format: FORMAT,
    program: 'bonafide-server',
    version: programVersion,
    created: created.toISOString(),
    trust_domain: server.trustDomain,
    database: server.database.kind,
    server_id: await serverIdOf(server),
    log_id: dump.logId,
    revision: dump.position.revision,
    nonce: dump.position.nonce,
    schema: [...dump.migrations],
    parts,
  };
  const text = Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`);
  const { sha256 } = await archive.add(MANIFEST_NAME, once(text));
  await archive.add(SEAL_NAME, once(Buffer.from(`${sha256}\n`)));
  await archive.finish();
  return manifest;
}

async function addTable(
  archive: ArchiveWriter,
  dump: DatabaseDump,
  table: DumpedTable,
  progress: BackupOptions['progress'],
): Promise<TablePart> {
  let count = 0;
  async function* counted(): ReturnType<DatabaseDump['rows']> {
    for await (const page of dump.rows(table)) {
      count += page.length;
      progress?.advance(page.length);
      yield page;
    }
  }
  const written = await archive.add(`tables/${table.name}.jsonl.gz`, encodeRows(counted()));
  return { kind: 'table', ...written, table: table.name, columns: [...table.columns], rows: count };
}

/** A backup under the wrong name would be refused on the day when it is needed. */
async function checkTrustDomain(dump: DatabaseDump, { trustDomain }: BackedUpServer): Promise<void> {
  const bundles = dump.tables.find(({ name }) => name === 'bundles');
  if (bundles === undefined || dump.position.revision === 0) return;
  const column = bundles.columns.indexOf('trust_domain');
  for await (const page of dump.rows(bundles)) {
    if (page.some((row) => row[column] === trustDomain)) return;
  }
  throw new BonafideError(
    'failed_precondition',
    `the database holds no bundle of the trust domain ${trustDomain} of this configuration; it is another server's`,
  );
}

async function countRows(dump: DatabaseDump): Promise<number> {
  let total = 0;
  for (const table of dump.tables) total += await dump.count(table);
  return total;
}

async function serverIdOf({ database, dataFolder }: BackedUpServer): Promise<string> {
  if (database.kind === 'sqlite') return '';
  return (await readFileIfExists(join(dataFolder, SERVER_ID_FILE)))?.toString('utf8').trim() ?? '';
}

function once(bytes: Buffer): AsyncIterable<Buffer> {
  return Readable.from([bytes]);
}
