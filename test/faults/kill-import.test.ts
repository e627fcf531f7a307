/** An import from SPIRE is killed at different moments: whoever repeats it has what one clean import gives. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import {
  createSampleAuthorities,
  createTables,
  insertRow,
} from '@bonafide/server/spire-import/spire-database-samples';
import { openStore } from '@bonafide/server/store/open-store';
import { SqliteDriver } from '@bonafide/server/store/sqlite-driver';
import { programPath } from '@bonafide/testing/program-path';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ENTRIES = 3000;
const AGENTS = 50;
/** After the keys are there, which are written right before the transaction. */
const KILL_AFTER_MS = [0, 20, 80, 250, 1000];
const POLL_MS = 2;

describe('kill -9 in the middle of an import from SPIRE', () => {
  let directory: TemporaryDirectory;
  let clean: unknown;

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    await createSpire();
    expect((await importInto('clean')).stdout).toContain('Imported in revision 1.');
    clean = await stateOf('clean');
  });
  afterAll(() => {
    directory.remove();
  });

  it('leaves nothing or everything, and the next import makes it whole', async () => {
    let interrupted = 0;
    for (const [round, delayMs] of KILL_AFTER_MS.entries()) {
      const name = `killed-${round}`;
      const signal = await killImport(name, delayMs);
      const { stdout, stderr, code } = await importInto(name);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(/Imported in revision 1\.|Nothing to change\./);
      if (signal === 'SIGKILL' && stdout.includes('Imported in revision 1.')) interrupted += 1;
      expect(await stateOf(name)).toEqual(clean);
    }
    expect(interrupted).toBeGreaterThan(0);
  });

  async function createSpire(): Promise<void> {
    const authorities = await createSampleAuthorities(new Date());
    await writeFile(directory.join('spire-keys.json'), authorities.keysJson, { mode: 0o600 });
    const expiresAt = '2096-01-02 03:04:05+00:00';
    const agentOf = (index: number): string =>
      `spiffe://example.org/spire/agent/join_token/${index % AGENTS}`;
    const statements = [
      ...createTables('sqlite'),
      insertRow('sqlite', 'migrations', { version: 25, code_version: '1.15.3' }),
      insertRow('sqlite', 'bundles', { trust_domain: 'spiffe://example.org', data: authorities.bundle }),
      insertRow('sqlite', 'ca_journals', {
        ...{ data: authorities.journal, active_x509_authority_id: authorities.x509AuthorityId },
      }),
      insertRow('sqlite', 'join_tokens', { token: 'unused', expiry: 4_000_000_000 }),
      ...Array.from({ length: AGENTS }, (_, index) =>
        insertRow('sqlite', 'attested_node_entries', {
          ...{ spiffe_id: agentOf(index), data_type: 'join_token' },
          ...{ serial_number: String(1000 + index), expires_at: expiresAt },
        }),
      ),
      ...Array.from({ length: ENTRIES }, (_, index) => [
        insertRow('sqlite', 'registered_entries', {
          ...{ created_at: '2026-01-02 03:04:05+00:00', entry_id: `entry-${index}`, revision_number: 1 },
          ...{ spiffe_id: `spiffe://example.org/workload/${index}`, parent_id: agentOf(index), ttl: 600 },
        }),
        insertRow('sqlite', 'selectors', {
          ...{ registered_entry_id: index + 1, type: 'unix', value: `uid:${index}` },
        }),
      ]).flat(),
    ];
    const database = new SqliteDriver(directory.join('spire.sqlite3'));
    database.exec(`BEGIN; ${statements.join('; ')}; COMMIT`);
    database.close();
  }

  async function commandLine(name: string): Promise<readonly string[]> {
    const data = directory.join(name);
    const config = directory.join(`${name}.json`);
    const plugins = {
      ...{ KeyManager: { disk: { keys_path: join(data, 'keys.json') } }, NodeAttestor: { join_token: {} } },
    };
    const server = { trust_domain: 'example.org', data_dir: data };
    await writeFile(config, JSON.stringify({ server, plugins }));
    const source = [
      '--datastore',
      directory.join('spire.sqlite3'),
      '--keys',
      directory.join('spire-keys.json'),
    ];
    return ['import', 'spire', ...source, '--config', config];
  }

  async function importInto(name: string): ReturnType<typeof runCommand> {
    return runCommand('server', await commandLine(name), { limitMs: 150_000 });
  }

  /** @returns the signal that ended it; null when it was done before. */
  async function killImport(name: string, delayMs: number): Promise<unknown> {
    const child = spawn(process.execPath, [programPath('server'), ...(await commandLine(name))], {
      stdio: 'ignore',
    });
    const closed = once(child, 'close');
    const keys = join(directory.join(name), 'keys.json');
    const watch = setInterval(() => {
      if (!existsSync(keys)) return;
      clearInterval(watch);
      setTimeout(() => child.kill('SIGKILL'), delayMs);
    }, POLL_MS);
    const [, signal] = (await closed) as [unknown, unknown];
    clearInterval(watch);
    return signal;
  }

  /** Everything that lasts, but for what is drawn at random. */
  async function stateOf(name: string): Promise<unknown> {
    const data = directory.join(name);
    const files = await readdir(data);
    const store = await openStore({ path: join(data, 'datastore.sqlite3'), log: silentLogger });
    try {
      const [entries, nodes]: [unknown[], unknown[]] = [[], []];
      for await (const batch of store.entries.all()) entries.push(...batch);
      for await (const batch of store.nodes.all()) nodes.push(...batch);
      return {
        entries,
        nodes,
        bundles: await store.bundles.list({ size: 0, token: undefined }),
        authorities: await store.authorities.list(),
        joinTokens: joinTokensIn(join(data, 'datastore.sqlite3')),
        changes: ((await store.changesSince(0, 10)) ?? []).map(({ revision, changes }) => [
          revision,
          changes,
        ]),
        keys: JSON.parse(await readFile(join(data, 'keys.json'), 'utf8')) as unknown,
        unfinishedFiles: files.filter((file) => file.includes('.tmp')),
      };
    } finally {
      await store.close();
    }
  }
});

function joinTokensIn(path: string): unknown {
  const database = new SqliteDriver(path, { readonly: true });
  try {
    return database.prepare('select * from join_tokens').all();
  } finally {
    database.close();
  }
}
