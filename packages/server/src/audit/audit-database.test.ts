/** The audit log in either database, and what is verified of it there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryKeyManager } from '../authority/memory-key-manager.js';
import { runServerProgram } from '../cli/program.js';
import type { AuditEventRecords } from '../store/audit-event-record.js';
import { DATABASES, usePostgres, useStores } from '../store/store-fixtures.js';
import { rowsOf } from './audit-database.js';
import { exampleEvent, openTestAudit } from './audit-fixtures.js';
import { ChainVerifier, type VerifiedChain } from './verify-chain.js';

async function linesOf(records: AuditEventRecords, serverId = 'one'): Promise<readonly string[]> {
  const lines: string[] = [];
  for await (const { line } of rowsOf(records, { serverId })) lines.push(line);
  return lines;
}

async function verified(lines: readonly string[]): Promise<VerifiedChain> {
  const verifier = new ChainVerifier({ keys: [], isOpen: false });
  for (const [index, line] of lines.entries()) await verifier.add(Buffer.from(line), `${index + 1}`);
  return verifier.end();
}

let directory: TemporaryDirectory;
let path: string;
beforeEach(() => {
  directory = createTemporaryDirectory();
  path = directory.join('audit.log');
});
afterEach(() => {
  directory.remove();
});
const fileLines = (): readonly string[] => readFileSync(path, 'utf8').trimEnd().split('\n');

describe.each(DATABASES)('the audit log in %s', (database) => {
  const stores = useStores(database);

  it('has the same records as the file, whatever is in them', async () => {
    const { auditEvents: records } = await stores.open();
    const opened = await openTestAudit(path, { audit: { database: {}, file: { path } }, records });
    for (let index = 0; index < 5; index += 1) await opened.audit.record(exampleEvent(index));
    await opened.audit.record({ ...exampleEvent(5), reason: '\0 \ud800 \u{1f511} \\u0000 "\'' });
    // More than one statement, page and write.
    await opened.audit.recordAll(Array.from({ length: 1_200 }, (_, index) => exampleEvent(index)));
    await opened.close();
    const lines = await linesOf(records);
    expect(lines).toEqual(fileLines());
    expect(await verified(lines)).toMatchObject({ problems: [] });
  });

  it.each(['file', 'database'] as const)(
    'that a crash left behind in the %s is brought there',
    async (behind) => {
      const keyManager = new MemoryKeyManager();
      const { auditEvents: records } = await stores.open();
      const both = { database: {}, file: { path } };
      const one = behind === 'file' ? { database: {} } : { file: { path } };
      for (const audit of [both, one, both]) {
        const opened = await openTestAudit(path, { records, keyManager, audit, shortPath: undefined });
        await opened.audit.record(exampleEvent());
        await opened.close();
      }
      const lines = await linesOf(records);
      expect(lines).toEqual(fileLines());
      expect(await verified(lines)).toMatchObject({ problems: [], records: 12 });
    },
  );

  it('does not hold a transaction up that tells of itself', async () => {
    const store = await stores.open();
    const records = store.auditEvents;
    const opened = await openTestAudit(path, { audit: { database: {} }, records, shortPath: undefined });
    await store.write(() => opened.audit.record(exampleEvent(7), 'in_transaction'));
    await opened.audit.record(exampleEvent(8));
    expect((await records.last('one'))?.line).toContain('request-8');
    await opened.close();
  });

  it('goes on after records that were kept long enough are gone, in a chain that begins later', async () => {
    const { auditEvents: records } = await stores.open();
    const keyManager = new MemoryKeyManager();
    const options = { records, keyManager, shortPath: undefined };
    const first = await openTestAudit(path, { ...options, audit: { database: {} } });
    for (let index = 0; index < 5; index += 1) await first.audit.record(exampleEvent(index));
    await first.close();
    const second = await openTestAudit(path, { ...options, audit: { database: { keep_for: '1s' } } });
    const [begun] = await linesOf(records);
    await records.prune('one', new Date(Date.now() + 3_600_000));
    await second.audit.record(exampleEvent(6));
    await second.close();
    const lines = await linesOf(records);
    expect(lines).not.toContain(begun);
    expect(lines.join('\n')).toContain('request-6');
  });
});

describe('audit verify --database with PostgreSQL', () => {
  const postgres = usePostgres();

  it('finds two servers, each with a chain of its own, and a byte that was changed in one of them', async () => {
    const { auditEvents: records } = await postgres.open();
    for (const serverId of ['one', 'two']) {
      const opened = await openTestAudit(path, {
        ...{ audit: { database: {} }, records, serverId, shortPath: undefined, dataFolder: directory.path },
      });
      for (let index = 0; index < 600; index += 1) void opened.audit.record(exampleEvent(index));
      await opened.audit.record(exampleEvent(600));
      await opened.close();
    }
    const url = await postgres.url();
    const config = directory.join('server.json');
    const server = { trust_domain: 'example.org', data_dir: directory.path };
    writeFileSync(config, JSON.stringify({ server, datastore: { type: 'postgres', url } }), { mode: 0o600 });
    const run = async (...argv: readonly string[]) => {
      const host = createRecordedHost();
      const code = await runServerProgram(['audit', ...argv, '--database', '--config', config], host);
      return { code, ...host.printed };
    };
    const whole = await run('verify');
    expect(whole).toMatchObject({ code: 0, stderr: '' });
    expect(whole.stdout).toMatch(
      /records \(1 to 604\) of the server one.*\n.*records \(1 to 604\) of the server two/,
    );
    const found = await run('search', '--request-id', 'request-600', '--output', 'json');
    expect(found.stdout.trimEnd().split('\n')).toHaveLength(2);

    const database = new URL(url).pathname.slice(1);
    await postgres.server.query(
      `UPDATE audit_events SET line = replace(line, 'request-77"', 'request-78"') WHERE server_id = 'two'`,
      database,
    );
    const changed = await run('verify', '--output', 'json');
    expect(changed.code).toBe(1);
    expect(JSON.parse(changed.stdout)).toMatchObject({
      chains: [
        { server_id: 'one', valid: true },
        { server_id: 'two', valid: false },
      ],
    });
    await postgres.server.query(
      `UPDATE audit_events SET line = replace(line, 'request-78"', 'request-77"') WHERE server_id = 'two' AND line LIKE '%entry-77"%';
       DELETE FROM audit_events WHERE server_id = 'one' AND seq = 300`,
      database,
    );
    const removed = await run('verify', '--output', 'json');
    expect(JSON.parse(removed.stdout)).toMatchObject({
      chains: [
        { problems: [{ message: expect.stringContaining('300 is expected') as string }] },
        { valid: true },
      ],
    });
  });
});
