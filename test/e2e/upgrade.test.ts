/** The present programs take over what the previous release left behind, and a backup from before brings its database back. */
import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openDump, type DatabaseDump, type DumpTarget } from '@bonafide/server/store/dump/database-dump';
import { connectSqlite } from '@bonafide/server/store/sqlite-database';
import { launchAgent } from '@bonafide/testing/launch-agent';
import { FAST_SETTINGS, launchPostgres, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { copyRelease, RELEASE_TRUST_DOMAIN, releaseDump, type HeldByRelease } from './release-fixture.js';

const RELEASE = '0.1.0';
const NEWEST_MIGRATION = '0012_selector_sightings';
const LIMIT_MS = 60_000;
/** A machine may have much else to do. */
const READY_MS = 120_000;

type Tables = Readonly<Record<string, { readonly columns: readonly string[]; readonly rows: unknown[] }>>;

async function contentOf(
  target: DumpTarget,
): Promise<{ readonly migrations: readonly string[]; readonly tables: Tables }> {
  await using dump: DatabaseDump = await openDump(target);
  const tables: Record<string, Tables[string]> = {};
  for (const table of dump.tables) {
    const rows: unknown[] = [];
    for await (const page of dump.rows(table)) rows.push(...page.map((row) => JSON.stringify(row)));
    tables[table.name] = { columns: table.columns, rows: rows.sort() };
  }
  return { migrations: dump.migrations, tables };
}

describe.each(['sqlite', 'postgres'] as const)(
  'an upgrade from 0.1.0 on %s',
  { timeout: 600_000 },
  (kind) => {
    let directory: TemporaryDirectory;
    let postgres: LaunchedPostgres | undefined;
    let held: HeldByRelease;
    let target: DumpTarget;
    let server: LaunchedServer | undefined;

    beforeAll(async () => {
      directory = createTemporaryDirectory();
      held = await copyRelease(RELEASE, kind, directory.path);
      if (kind === 'sqlite') {
        target = { kind, path: directory.join('server', 'datastore.sqlite3') };
        return;
      }
      postgres = await launchPostgres({ directory: directory.path, settings: FAST_SETTINGS });
      const url = await postgres.createDatabase('registry');
      // Commands to psql itself, which pg_dump puts around what it writes.
      const statements = (await readFile(releaseDump(RELEASE), 'utf8')).replaceAll(/^\\.*$/gm, '');
      await postgres.query(statements, 'registry');
      target = { kind, url };
    });

    afterEach(async () => {
      await server?.stop();
    });

    afterAll(async () => {
      await postgres?.[Symbol.asyncDispose]();
      directory.remove();
    });

    const config = (): ConfigFile => ({
      ...(target.kind === 'postgres' ? { datastore: { type: 'postgres', url: target.url } } : {}),
      server: { ca_ttl: '175200h', agent_ttl: '131400h' },
    });

    async function start(): Promise<LaunchedServer> {
      server = await launchServer({
        ...{ directory: directory.path, trustDomain: RELEASE_TRUST_DOMAIN, config: config() },
        readyLimitMs: READY_MS,
      });
      return server;
    }

    async function command(...args: readonly string[]): Promise<void> {
      const { code, stdout, stderr } = await runCommand('server', args, { limitMs: LIMIT_MS });
      expect(code, stdout + stderr).toBe(0);
    }

    it('keeps everything, works with agents old and new, and goes back by a backup from before', async () => {
      const before = await contentOf(target);
      expect(before.migrations.at(-1)).toBe(NEWEST_MIGRATION);
      // Of the database as the earlier release left it: backing up migrates nothing.
      const configPath = directory.join('before.json');
      const base: ConfigFile = {
        server: { trust_domain: RELEASE_TRUST_DOMAIN, data_dir: directory.join('server') },
      };
      await writeFile(configPath, JSON.stringify(mergeConfig(base, config())));
      await command('backup', '--config', configPath, '--output', directory.join('before.backup'));
      expect(await contentOf(target)).toEqual(before);
      const running = await start();

      const { entries } = JSON.parse(await running.commandOutput('entry', 'show', '--output', 'json')) as {
        readonly entries: readonly { readonly id: string; readonly spiffe_id: { readonly path: string } }[];
      };
      // Of that release `entry show` left those of downstream servers out.
      const listed = entries.map(({ id, spiffe_id: { path } }) => ({ id, path }));
      expect(listed).toEqual(expect.arrayContaining([...held.entries]));
      expect(await running.commandOutput('entry', 'count')).toMatch(
        new RegExp(`^${before.tables['entries']?.rows.length ?? 0} `),
      );
      const bundle = JSON.parse(await running.commandOutput('bundle', 'show', '--format', 'spiffe')) as {
        readonly keys: readonly unknown[];
      };
      for (const key of held.bundleJwks.keys)
        expect(JSON.stringify(bundle.keys)).toContain(key.kid ?? key.use);
      expect(await running.commandOutput('bundle', 'list')).toMatch(/partner\.test[\s\S]*supplier\.test/);
      expect(await running.commandOutput('federation', 'list')).toContain('partner.test');
      expect(await running.commandOutput('agent', 'list')).toContain(held.bannedAgentId);

      // The agent of that release goes on with the SVID in its data folder: its token was spent long ago.
      const spent = held.agentId.split('/').at(-1) ?? '';
      await using agent = await launchAgent({
        server: running,
        directory: directory.path,
        joinToken: spent,
        readyLimitMs: READY_MS,
      });
      // A token that it made still lets one agent in.
      await using newcomer = await launchAgent({
        ...{
          server: running,
          directory: directory.path,
          name: 'newcomer',
          joinToken: held.token,
          readyLimitMs: READY_MS,
        },
      });
      const agents = await running.commandOutput('agent', 'list');
      expect(agents).toContain(held.agentId);
      expect(agents).toContain(newcomer.spiffeId);
      await running.commandOutput(
        ...['entry', 'create', '--parent-id', held.agentId, '--selector', 'unix:uid:0'],
        ...['--spiffe-id', `spiffe://${RELEASE_TRUST_DOMAIN}/after`],
      );
      await newcomer.stop();
      await agent.stop();
      await running.stop();

      const after = await contentOf(target);
      expectOnlyMore(before.tables, after.tables);
      await command(
        ...['restore', '--input', directory.join('before.backup'), '--config', running.configPath, '--force'],
      );
      const back = await contentOf(target);
      expect(back.migrations).toEqual(before.migrations);
      const { log_head: oldHead, join_tokens: oldTokens, ...old } = before.tables;
      const { log_head: newHead, join_tokens: newTokens, ...restored } = back.tables;
      expect(restored).toEqual(old);
      expect([newHead?.columns, newTokens?.columns]).toEqual([oldHead?.columns, oldTokens?.columns]);
    });

    it('is refused to go back by starting the older program alone, which says how', async () => {
      const running = await start();
      await running.stop();
      // What this release would be to a later one.
      if (target.kind === 'sqlite') {
        const database = connectSqlite(target.path, 'write').withTables<{
          applied_migrations: { name: string; timestamp: string };
        }>();
        await database
          .insertInto('applied_migrations')
          .values({ name: '9999_of_the_future', timestamp: '2040-01-01T00:00:00Z' })
          .execute();
        await database.destroy();
      } else {
        await postgres?.query(
          "insert into applied_migrations values ('9999_of_the_future', '2040-01-01T00:00:00Z')",
          'registry',
        );
      }
      const { code, stderr } = await runCommand('server', ['run', '--config', running.configPath], {
        limitMs: LIMIT_MS,
      });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^Error: the database was written by a newer release: .*9999_of_the_future.*restore a backup/m,
      );
    });
  },
);

/** Each migration is safe with the previous release running: what that one knows of is still there, in the same columns. */
function expectOnlyMore(before: Tables, after: Tables): void {
  for (const [name, { columns }] of Object.entries(before)) {
    expect(after[name]?.columns, name).toEqual(expect.arrayContaining([...columns]));
  }
}
