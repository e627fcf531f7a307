/** The audit log when the registry is brought back from a backup: what was done after the backup stays told. */
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { ChainVerifier, type VerifiedChain } from '@bonafide/server/audit/verify-chain';
import { parseRecord, type AuditRecord } from '@bonafide/server/audit/audit-record';
import { runServerProgram } from '@bonafide/server/cli/program';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer } from './server-in-process.js';

const SETTLE = 120_000;
const NODE = 'spiffe://example.org/nobody';

async function run(...argv: readonly string[]): Promise<string> {
  const host = createRecordedHost();
  const code = await runServerProgram(argv, host);
  expect({ code, ...host.printed }).toMatchObject({ code: 0 });
  return host.printed.stdout;
}

async function verified(lines: readonly string[]): Promise<VerifiedChain> {
  const verifier = new ChainVerifier({ keys: [], isOpen: true });
  for (const [index, line] of lines.entries()) await verifier.add(Buffer.from(line), `${index + 1}`);
  return verifier.end();
}

describe('the audit log of a registry that was restored', () => {
  let directory: TemporaryDirectory;
  let elsewhere: TemporaryDirectory;
  let backup: string;
  let passphrase: string;
  const config = { audit: { file: {}, database: {} } };

  const linesIn = ({ path }: TemporaryDirectory): readonly string[] =>
    readFileSync(`${path}/data/audit/audit.log`, 'utf8').trimEnd().split('\n');
  const named = (records: readonly AuditRecord[], event: string): readonly AuditRecord[] =>
    records.filter((record) => record.event === event);

  async function configFile(where: TemporaryDirectory): Promise<string> {
    const path = where.join('server.json');
    const server = { trust_domain: 'example.org', data_dir: where.join('data') };
    await writeFile(path, JSON.stringify({ server, ...config }));
    return path;
  }

  beforeAll(async () => {
    directory = createTemporaryDirectory();
    elsewhere = createTemporaryDirectory();
    backup = directory.join('server.backup');
    passphrase = directory.join('passphrase');
    await writeFile(passphrase, 'a passphrase of this test\n', { mode: 0o600 });
    await using server = await InProcessServer.start({ directory, config });
    await server.createEntry(NODE, '/before');
    const keys = ['--include-keys', '--passphrase-file', passphrase];
    await run('backup', '--config', await configFile(directory), '--output', backup, ...keys);
    await server.createEntry(NODE, '/after');
  }, SETTLE);

  afterAll(() => {
    directory.remove();
    elsewhere.remove();
  });

  it(
    'goes on in the same chain where the data folder is the same, and tells of the restore',
    async () => {
      const before = linesIn(directory);
      await run('restore', '--input', backup, '--config', await configFile(directory), '--force');
      for (let start = 0; start < 2; start += 1) {
        await using server = await InProcessServer.start({ directory, config });
        await server.createEntry(NODE, `/restored-${start}`);
      }
      const lines = linesIn(directory);
      expect(lines.slice(0, before.length)).toEqual(before);
      expect(await verified(lines)).toMatchObject({ problems: [], keys: [expect.any(String)] });
      const records = lines.map(parseRecord);
      expect(named(records, 'entry_created').map(({ subject }) => subject?.['spiffe_id'])).toEqual(
        ['/before', '/after', '/restored-0', '/restored-1'].map((path) => `spiffe://example.org${path}`),
      );
      const [restored, ...more] = named(records, 'registry_restored');
      expect(more).toEqual([]);
      expect(restored).toMatchObject({
        revision: expect.any(Number) as number,
        details: { with_keys: false, backup_created_at: expect.any(String) as string },
      });
      // The table came back as it was at the time of the backup; the rest was brought there from the file.
      const database = await run(
        'audit',
        'verify',
        '--database',
        '--config',
        await configFile(directory),
        '--open',
      );
      expect(database).toMatch(
        new RegExp(`^The audit log is as it was written: ${lines.length} records \\(1 to ${lines.length}\\)`),
      );
    },
    SETTLE,
  );

  it(
    'begins anew where nothing is left, beside what the backup has of the old one, with the same key',
    async () => {
      mkdirSync(elsewhere.join('data'), { mode: 0o700 });
      cpSync(backup, elsewhere.join('server.backup'));
      await run(
        ...['restore', '--input', elsewhere.join('server.backup'), '--config', await configFile(elsewhere)],
        ...['--passphrase-file', passphrase],
      );
      {
        await using server = await InProcessServer.start({ directory: elsewhere, config });
        await server.createEntry(NODE, '/elsewhere');
      }
      const lines = linesIn(elsewhere);
      const chain = await verified(lines);
      expect(chain).toMatchObject({ problems: [], first: { seq: 1 } });
      expect(chain.keys).toEqual((await verified(linesIn(directory))).keys);
      expect(named(lines.map(parseRecord), 'registry_restored')).toMatchObject([
        { details: { with_keys: true } },
      ]);
      const database = await run(
        'audit',
        'verify',
        '--database',
        '--config',
        await configFile(elsewhere),
        '--open',
      );
      expect(database.match(/The audit log is as it was written/g)).toHaveLength(2);
    },
    SETTLE,
  );
});
