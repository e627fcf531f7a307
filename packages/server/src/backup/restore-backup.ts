/** Brings a backup back, offline: everything is verified before anything is touched, and what was there is kept aside. */
import { link, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { prepareDataFolder } from '@bonafide/shared/config/data-folder';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import {
  createPrivateDirectory,
  readFileIfExists,
  writeFileAtomic,
} from '@bonafide/shared/runtime/private-file';
import { lockDataFolder } from '../store/database-lock.js';
import type { DumpedTable } from '../store/dump/database-dump.js';
import { restoreDump } from '../store/dump/restore-target.js';
import { loadServerId, SERVER_ID_FILE } from '../store/server-id.js';
import type { ArchiveReader } from './archive-reader.js';
import type { BackedUpServer } from './backed-up-server.js';
import { decryptKeyFile } from './key-file-part.js';
import { keysPart, tableParts, type Manifest } from './manifest.js';
import { leaveRestoreNote } from './restore-note.js';
import { decodeRows } from './table-lines.js';
import { markRestore, unmarkRestore } from './unfinished-restore.js';
import { verifyBackup } from './verify-backup.js';

export interface RestoreOptions {
  readonly server: BackedUpServer;
  readonly archive: ArchiveReader;
  /** Of the backup, for messages. */
  readonly path: string;
  /** Undefined: the keys of the backup, if it has any, stay in it. */
  readonly passphrase: string | undefined;
  /** What is there is kept aside instead of being in the way. */
  readonly force: boolean;
  readonly clock: Clock;
}

export interface RestoreResult {
  readonly manifest: Manifest;
  readonly rows: ReadonlyMap<string, number>;
  readonly withKeys: boolean;
  /** Where what was there is now. */
  readonly aside: readonly string[];
}

/** @throws BonafideError for a damaged backup, another trust domain's, a newer release's, and while a server runs. */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreResult> {
  const { server, archive, path, passphrase, force, clock } = options;
  const { manifest } = archive;
  if (manifest.trust_domain !== server.trustDomain) {
    throw new BonafideError(
      'failed_precondition',
      `the backup is of the trust domain ${manifest.trust_domain}; the configuration says ${server.trustDomain}`,
    );
  }
  await verifyBackup(archive);
  const keys = passphrase === undefined ? undefined : await openKeys(archive, passphrase);
  const suffix = `.before-restore-${clock
    .now()
    .toISOString()
    .replaceAll(/[-:]|\.\d+/g, '')
    .toLowerCase()}`;
  await prepareDataFolder('data_dir', server.dataFolder);
  const lock = await lockDataFolder(server.dataFolder);
  try {
    const identity = await identityAfter(server, manifest, keys !== undefined, force);
    if (keys !== undefined) await refuseKeysInTheWay(server, force);
    await markRestore(server.dataFolder, path);
    const restored = await restoreDump(
      server.database,
      {
        migrations: manifest.schema,
        tables: tableParts(manifest).map(({ table, columns }) => ({ name: table, columns })),
        rows: (table) => rowsOf(archive, table),
        serverIds: identity,
        now: clock.now(),
      },
      { asideSuffix: force ? suffix : undefined },
    ).catch(async (error: unknown) => {
      await unmarkRestore(server.dataFolder); // nothing was changed
      throw error;
    });
    const aside = restored.aside === undefined ? [] : [restored.aside];
    if (keys !== undefined) aside.push(...(await putKeys(server, keys, suffix)));
    if (identity !== undefined && identity.to !== '' && keys !== undefined) {
      await writeFileAtomic(join(server.dataFolder, SERVER_ID_FILE), `${identity.to}\n`);
    }
    await leaveRestoreNote(server.dataFolder, {
      ...{ restored_at: clock.now().toISOString(), backup_created_at: manifest.created },
      ...{ backup_version: manifest.version, revision: manifest.revision, with_keys: keys !== undefined },
    });
    await unmarkRestore(server.dataFolder);
    return { manifest, rows: restored.rows, withKeys: keys !== undefined, aside };
  } finally {
    lock.release();
  }
}

async function openKeys(archive: ArchiveReader, passphrase: string): Promise<Buffer> {
  const part = keysPart(archive.manifest);
  if (part !== undefined) {
    return await decryptKeyFile(archive.read(part.name), archive.manifest.trust_domain, passphrase);
  }
  throw new BonafideError(
    'failed_precondition',
    'the backup holds no keys; leave --passphrase-file out to restore the database alone',
  );
}

function rowsOf(archive: ArchiveReader, { name }: DumpedTable): ReturnType<typeof decodeRows> {
  const part = tableParts(archive.manifest).find(({ table }) => table === name);
  if (part === undefined) throw new BonafideError('internal', `the backup has no table ${name}`);
  return decodeRows(archive.read(part.name), part);
}

/** Who keeps the keys goes on with the authorities; with SQLite they are nobody's in particular. */
async function identityAfter(
  { database, dataFolder }: BackedUpServer,
  { database: from, server_id: fromId }: Manifest,
  withKeys: boolean,
  force: boolean,
): Promise<{ readonly from: string; readonly to: string } | undefined> {
  if (database.kind === 'sqlite') return { from: fromId, to: '' };
  if (from === 'sqlite') return { from: fromId, to: await loadServerId(dataFolder) };
  if (!withKeys) return undefined;
  const present = (await readFileIfExists(join(dataFolder, SERVER_ID_FILE)))?.toString('utf8').trim();
  if (present === undefined || present === fromId || force) return { from: fromId, to: fromId };
  throw new BonafideError(
    'failed_precondition',
    `${dataFolder} is of the server with the ID ${present}, and the keys of the backup are of ${fromId}; restore them in a data_dir of their own, or use --force`,
  );
}

async function refuseKeysInTheWay({ keysPath }: BackedUpServer, force: boolean): Promise<void> {
  if (keysPath === undefined) {
    throw new BonafideError(
      'failed_precondition',
      'the configuration keeps keys in memory; expected KeyManager disk, or no --passphrase-file',
    );
  }
  if (force || (await stat(keysPath).catch(() => undefined)) === undefined) return;
  throw new BonafideError(
    'failed_precondition',
    `the key file ${keysPath} is there already; keep it aside with --force, or leave --passphrase-file out to go on with it`,
  );
}

async function putKeys(
  { keysPath = '' }: BackedUpServer,
  keys: Buffer,
  suffix: string,
): Promise<readonly string[]> {
  await createPrivateDirectory(dirname(keysPath));
  const isThere = (await stat(keysPath).catch(() => undefined)) !== undefined;
  if (isThere) await link(keysPath, `${keysPath}${suffix}`);
  await writeFileAtomic(keysPath, keys);
  return isThere ? [`${keysPath}${suffix}`] : [];
}
