import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createEntry } from '../store/create-entry.js';
import { exampleBundle, exampleNode } from '../store/example-records.js';
import { openStore } from '../store/open-store.js';
import { openPostgresStore } from '../store/postgres/open-postgres-store.js';
import { loadServerId } from '../store/server-id.js';
import { usePostgres } from '../store/store-fixtures.js';
import type { Store } from '../store/store.js';
import { ArchiveReader } from './archive-reader.js';
import type { BackedUpServer } from './backed-up-server.js';
import { createBackup } from './create-backup.js';
import { restoreBackup, type RestoreOptions, type RestoreResult } from './restore-backup.js';
import { refuseUnfinishedRestore } from './unfinished-restore.js';
import { verifyBackup } from './verify-backup.js';

const PASSPHRASE = 'correct horse battery staple';
const PAGE = { size: 100, token: undefined };
const KINDS = ['sqlite', 'postgres'] as const;
type Kind = (typeof KINDS)[number];

let directory: TemporaryDirectory;
const opened: Store[] = [];
let count = 0;

beforeEach(() => {
  directory = createTemporaryDirectory();
});

afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  directory.remove();
});

describe('backups', { timeout: 120_000 }, () => {
  const postgres = usePostgres();

  async function newServer(kind: Kind): Promise<BackedUpServer> {
    const dataFolder = directory.join(`${kind}-${(count += 1)}`);
    await mkdir(dataFolder, { mode: 0o700 });
    return {
      trustDomain: parseTrustDomain('example.org'),
      dataFolder,
      keysPath: `${dataFolder}/keys.json`,
      database:
        kind === 'sqlite'
          ? { kind, path: `${dataFolder}/store.sqlite3` }
          : { kind, url: await postgres.server.createDatabase(`backup_${randomUUID().slice(0, 8)}`) },
    };
  }

  async function open({ database, dataFolder }: BackedUpServer): Promise<Store> {
    const store =
      database.kind === 'sqlite'
        ? await openStore({ path: database.path, log: silentLogger })
        : await openPostgresStore({
            url: database.url,
            serverId: await loadServerId(dataFolder),
            clock: systemClock,
            log: silentLogger,
          });
    opened.push(store);
    return store;
  }

  /** With something of everything that a restore has to think about. */
  async function fill(store: Store): Promise<void> {
    await store.write(async ({ bundles, nodes, joinTokens, authorities }) => {
      await bundles.put(exampleBundle('example.org'));
      await nodes.put(exampleNode());
      await joinTokens.create({ token: 'unspent', expiresAt: new Date(8e12), aliasId: undefined });
      await authorities.put({
        kind: 'jwt',
        authorityId: 'ours',
        serverId: store.serverId,
        slot: 'active',
        keyId: 'k',
        publicKey: Buffer.from([1]),
        notBefore: new Date(0),
        notAfter: new Date(8e12),
        isTainted: false,
      });
    });
    for (let index = 0; index < 30; index += 1) await createEntry(store, `/workload/${index}`);
  }

  function backUp(
    server: BackedUpServer,
    path: string,
    passphrase?: string,
  ): ReturnType<typeof createBackup> {
    return createBackup({ server, path, passphrase, programVersion: '1.2.3', clock: systemClock });
  }

  async function restore(
    server: BackedUpServer,
    path: string,
    options: Partial<RestoreOptions> = {},
  ): Promise<RestoreResult> {
    await using archive = await ArchiveReader.open(path);
    return await restoreBackup({
      ...{ server, archive, path, passphrase: undefined, force: false, clock: systemClock },
      ...options,
    });
  }

  async function closeAll(): Promise<void> {
    for (const store of opened.splice(0)) await store.close();
  }

  describe.each(KINDS)('of %s', (from) => {
    it.each(KINDS)('come back in %s, with a log of its own and without what may be spent', async (to) => {
      const source = await newServer(from);
      const store = await open(source);
      await fill(store);
      await writeFile(source.keysPath ?? '', '{"keys": {"k": "a secret"}}', { mode: 0o600 });
      const path = directory.join('a.backup');
      const manifest = await backUp(source, path, PASSPHRASE);
      expect(manifest.revision).toBe(31);
      const [entries, nodes] = [await store.entries.list({}, PAGE), await store.nodes.list({}, PAGE)];
      const { logId } = store;
      await closeAll();

      const target = await newServer(to);
      const { rows, withKeys } = await restore(target, path, { passphrase: PASSPHRASE });
      expect(withKeys).toBe(true);
      expect(rows.get('entries')).toBe(30);
      expect(readFileSync(target.keysPath ?? '', 'utf8')).toBe('{"keys": {"k": "a secret"}}');
      expect(statSync(target.keysPath ?? '').mode & 0o777).toBe(0o600);
      const restored = await open(target);
      expect(await restored.entries.list({}, PAGE)).toEqual(entries);
      expect(await restored.nodes.list({}, PAGE)).toEqual(nodes);
      expect(await restored.currentRevision()).toBe(31);
      expect(restored.logId).not.toBe(logId);
      expect((await restored.authorities.list()).map(({ serverId }) => serverId)).toEqual([
        restored.serverId,
      ]);
      expect(await restored.write(({ joinTokens }) => joinTokens.spend('unspent'))).toBeUndefined();
      await createEntry(restored, '/after');
    });

    it('are of one revision while the server goes on writing', async () => {
      const server = await newServer(from);
      const store = await open(server);
      await fill(store);
      const stop = new AbortController();
      const writing = (async () => {
        for (let index = 0; !stop.signal.aborted; index += 1) {
          await createEntry(store, `/while/${index}`);
          await new Promise((resolve) => setImmediate(resolve)); // SQLite answers within the turn
        }
      })();
      const path = directory.join('a.backup');
      const manifest = await backUp(server, path);
      const acknowledged = await store.currentRevision();
      stop.abort();
      await writing;
      await closeAll();
      expect(manifest.revision).toBeLessThanOrEqual(acknowledged);
      const target = await newServer('sqlite');
      const { rows } = await restore(target, path);
      // One entry a revision, after the first of all.
      expect(rows.get('entries')).toBe(manifest.revision - 1);
      expect(rows.get('changes')).toBe(manifest.revision);
    });

    it('are not restored over a database, unless it is kept aside', async () => {
      const server = await newServer(from);
      const running = await open(server);
      await fill(running);
      const path = directory.join('a.backup');
      await backUp(server, path);
      await createEntry(running, '/later');
      await expect(restore(server, path, { force: true })).rejects.toMatchObject({
        reason: 'failed_precondition',
        message: expect.stringMatching(/in use by (another server|the server)/) as string,
      });
      await closeAll();
      await expect(restore(server, path)).rejects.toMatchObject({
        message: expect.stringContaining('--force') as string,
      });
      const { aside } = await restore(server, path, { force: true });
      expect(aside).toHaveLength(1);
      const store = await open(server);
      expect(await store.currentRevision()).toBe(31);
      await closeAll();
      if (server.database.kind === 'postgres') {
        const schema = aside[0]?.replace('the schema ', '') ?? '';
        const database = new URL(server.database.url).pathname.slice(1);
        const kept = await postgres.server.query(`select revision from ${schema}.log_head`, database);
        expect(kept.trim()).toBe('32');
        return;
      }
      const old = await openStore({ path: aside[0] ?? '', log: silentLogger });
      opened.push(old);
      expect(await old.currentRevision()).toBe(32);
    });
  });

  async function backedUp(passphrase?: string): Promise<{ server: BackedUpServer; path: string }> {
    const server = await newServer('sqlite');
    await fill(await open(server));
    await writeFile(server.keysPath ?? '', '{"keys": {}}', { mode: 0o600 });
    const path = directory.join(`${(count += 1)}.backup`);
    await backUp(server, path, passphrase);
    await closeAll();
    return { server, path };
  }

  it('are for their owner alone, hold keys only under the passphrase, and are never written over', async () => {
    const { server, path } = await backedUp(PASSPHRASE);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readFileSync(path).includes('"keys": {}')).toBe(false);
    await expect(backUp(server, path)).rejects.toMatchObject({ reason: 'already_exists' });
    await using archive = await ArchiveReader.open(path);
    await verifyBackup(archive, PASSPHRASE);
    await expect(verifyBackup(archive, 'another passphrase')).rejects.toMatchObject({
      reason: 'permission_denied',
    });
    expect(readdirSync(directory.path).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('are refused when any byte of them was changed, and nothing is touched', async () => {
    const { path } = await backedUp(PASSPHRASE);
    const bytes = readFileSync(path);
    const target = await newServer('sqlite');
    const damaged = directory.join('damaged');
    const step = Math.ceil(bytes.length / 50);
    for (let at = 0; at < bytes.length; at += step) {
      // A part is filled up to its block with zeroes, which nobody reads.
      if (bytes[at] === 0) continue;
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      writeFileSync(damaged, changed);
      await expect(restore(target, damaged), `byte ${at}`).rejects.toMatchObject({
        reason: expect.stringMatching(/^(invalid_argument|failed_precondition)$/) as string,
      });
      expect(readdirSync(target.dataFolder).filter((name) => !name.includes('lock'))).toEqual([]);
    }
    for (const length of [0, 511, 512, bytes.length - 512, bytes.length - 1]) {
      writeFileSync(damaged, bytes.subarray(0, length));
      await expect(ArchiveReader.open(damaged), `${length} bytes`).rejects.toMatchObject({
        reason: 'invalid_argument',
      });
    }
    writeFileSync(damaged, Buffer.concat([bytes, Buffer.alloc(512)]));
    await expect(ArchiveReader.open(damaged)).rejects.toMatchObject({ reason: 'invalid_argument' });
  });

  it('of another trust domain are refused, at both ends', async () => {
    const { server, path } = await backedUp();
    const other = { ...server, trustDomain: parseTrustDomain('other.org') };
    await expect(restore(other, path)).rejects.toMatchObject({
      message: expect.stringMatching(/example\.org.*other\.org/) as string,
    });
    await expect(backUp(other, directory.join('b'))).rejects.toMatchObject({ reason: 'failed_precondition' });
    expect(existsSync(directory.join('b'))).toBe(false);
  });

  it('do not put keys over keys, nor lose them', async () => {
    const { path } = await backedUp(PASSPHRASE);
    const target = await newServer('sqlite');
    const keysPath = target.keysPath ?? '';
    await writeFile(keysPath, 'precious', { mode: 0o600 });
    await expect(restore(target, path, { passphrase: PASSPHRASE })).rejects.toMatchObject({
      message: expect.stringContaining('--force') as string,
    });
    expect(readFileSync(keysPath, 'utf8')).toBe('precious');
    const { aside } = await restore(target, path, { passphrase: PASSPHRASE, force: true });
    expect(aside.map((name) => readFileSync(name, 'utf8'))).toEqual(['precious']);
  });

  it('that were half restored keep a server from starting until one is whole', async () => {
    const { server, path } = await backedUp();
    await writeFile(`${server.dataFolder}/restore-unfinished`, 'x');
    await expect(refuseUnfinishedRestore(server.dataFolder)).rejects.toMatchObject({
      message: expect.stringContaining('restore --force') as string,
    });
    await restore(server, path, { force: true });
    await refuseUnfinishedRestore(server.dataFolder);
  });
});
