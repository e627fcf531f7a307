import { readFileSync, writeFileSync } from 'node:fs';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exampleEvent, openTestAudit } from '../../audit/audit-fixtures.js';
import { AUDIT_EVENT_NAMES, meaningOf } from '../../audit/audit-events.js';
import { openStore } from '../../store/open-store.js';
import { runServerProgram } from '../program.js';

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

let directory: TemporaryDirectory;
let path: string;

async function run(...argv: readonly string[]): Promise<Ran> {
  const host = createRecordedHost({ clock: new FakeClock(new Date()) });
  const code = await runServerProgram(['audit', ...argv], host);
  return { code, ...host.printed };
}

beforeAll(async () => {
  directory = createTemporaryDirectory();
  path = directory.join('audit.log');
  const store = await openStore({ path: directory.join('datastore.sqlite3'), log: silentLogger });
  const { audit, close } = await openTestAudit(path, {
    ...{ audit: { file: { path }, database: {} }, records: store.auditEvents },
  });
  for (let index = 0; index < 3; index += 1) await audit.record(exampleEvent(index));
  await audit.record({
    ...{ event: 'call_denied', result: 'denied', method: '/a.B/C' },
    actor: { kind: 'unknown', address: '192.0.2.7' },
    reason: 'no|pipe = \\ and\nnew line',
  });
  await audit.record({
    ...{ event: 'agent_attested', result: 'success', attestationType: 'tpm' },
    actor: { kind: 'anonymous', address: '2001:db8::1' },
    subject: { agentId: 'spiffe://example.org/spire/agent/tpm/a' },
  });
  await audit.record({
    ...{ event: 'entry_created', result: 'success', revision: 7 },
    actor: { kind: 'local_admin', uid: 0, pid: 3 },
    subject: { entryId: 'e', spiffeId: 'spiffe://example.org/w' },
  });
  await close();
  await store.close();
  writeFileSync(
    directory.join('server.yaml'),
    `server: { trust_domain: example.org, data_dir: ${JSON.stringify(directory.path)} }\n`,
  );
});

afterAll(() => {
  directory.remove();
});

describe('audit verify', () => {
  it('says that the log is as it was written, and prints its key', async () => {
    const { code, stdout } = await run('verify', '--file', path);
    expect({ code, stdout }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(
      /^The audit log is as it was written: 9 records \(1 to 9\) of the server one; 2 signatures/,
    );
    const key = (await run('verify', '--file', path, '--print-key')).stdout;
    const keyFile = directory.join('audit.pub');
    writeFileSync(keyFile, key);
    expect(await run('verify', '--file', path, '--key', keyFile)).toMatchObject({ code: 0 });
    expect(await run('verify', '--file', path, '--key', key.trim())).toMatchObject({ code: 0 });
    const head = directory.join('audit-head.json');
    expect(await run('verify', '--file', directory.path, '--head', head)).toMatchObject({ code: 0 });
  });

  it('ends with 1 for a log that was changed, and says where', async () => {
    const changed = directory.join('changed.txt');
    writeFileSync(changed, readFileSync(path, 'utf8').replace('entry-1', 'entry-2'));
    const { code, stdout } = await run('verify', '--file', changed, '--output', 'json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      chains: [{ valid: false, problems: [{ where: `${changed}:4` }, {}] }],
    });
  });

  it('reads the database beside the server', async () => {
    const config = directory.join('server.yaml');
    expect(await run('verify', '--database', '--config', config)).toMatchObject({ code: 0, stderr: '' });
    const found = await run(
      'search',
      '--database',
      '--config',
      config,
      '--event',
      'entry_created',
      '--output',
      'json',
    );
    expect(JSON.parse(found.stdout)).toMatchObject({ revision: 7 });
  });

  it('wants to be told where the log is', async () => {
    expect(await run('verify')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('--file or --database') as string,
    });
    expect(await run('verify', '--file', directory.join('none'))).toMatchObject({ code: 1 });
  });
});

describe('audit search', () => {
  const found = async (...flags: readonly string[]): Promise<number> => {
    const { code, stdout } = await run('search', '--file', path, '--output', 'json', ...flags);
    expect(code).toBe(0);
    return stdout.split('\n').length - 1;
  };

  it('finds records by what they say', async () => {
    expect(await found()).toBe(9);
    expect(await found('--event', 'issuance')).toBe(3);
    expect(await found('--event', 'entry_created', '--event', 'agent_attested')).toBe(2);
    expect(await found('--result', 'denied')).toBe(1);
    expect(await found('--actor', '192.0.2.7')).toBe(1);
    expect(await found('--actor', 'uid:0')).toBe(4);
    expect(await found('--spiffe-id', 'spiffe://example.org/spire/agent/tpm/a')).toBe(1);
    expect(await found('--entry-id', 'entry-2')).toBe(1);
    expect(await found('--svid', '2')).toBe(1);
    expect(await found('--request-id', 'request-0')).toBe(1);
    expect(await found('--since', '1h')).toBe(9);
    expect(await found('--until', '1h')).toBe(0);
    expect(await found('--limit', '2')).toBe(2);
  });

  it('refuses what is no time or event', async () => {
    expect(await run('search', '--file', path, '--since', 'yesterday')).toMatchObject({ code: 1 });
    expect(await run('search', '--file', path, '--event', 'nothing')).toMatchObject({ code: 1 });
  });

  it('prints one line for each, with nothing that moves the cursor', async () => {
    const { stdout } = await run('search', '--file', path, '--result', 'denied');
    expect(stdout).toMatch(/ call_denied denied by unknown address=192\.0\.2\.7 reason="no\|pipe/);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('audit export', () => {
  it('escapes CEF in header and extension', async () => {
    const { stdout } = await run('export', '--file', path, '--format', 'cef', '--event', 'call_denied');
    expect(stdout).toMatch(/^CEF:0\|Bonafide\|bonafide-server\|[^|]+\|call_denied\|[^|]+\|6\|rt=\d+ /);
    expect(stdout).toContain('reason=no|pipe \\= \\\\ and\\nnew line');
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  });

  it('gives every OCSF event what its class requires', async () => {
    const { stdout } = await run('export', '--file', path, '--format', 'ocsf');
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events).toHaveLength(9);
    for (const event of events) {
      for (const name of [
        'activity_id',
        'category_uid',
        'class_uid',
        'metadata',
        'severity_id',
        'time',
        'type_uid',
        'status_id',
      ]) {
        expect(event).toHaveProperty(name);
      }
      expect(event['type_uid']).toBe(Number(event['class_uid']) * 100 + Number(event['activity_id']));
      const required = { 3002: ['user'], 3004: ['entity'], 6003: ['actor', 'api', 'src_endpoint'] };
      for (const name of required[event['class_uid'] as keyof typeof required])
        expect(event).toHaveProperty(name);
    }
    expect(events.map((event) => event['class_uid'])).toEqual([
      6003, 6003, 6003, 6003, 6003, 6003, 3002, 3004, 6003,
    ]);
  });

  it('prints records as they are', async () => {
    const { stdout } = await run('export', '--file', path, '--format', 'jsonl');
    expect(stdout).toBe(readFileSync(path, 'utf8'));
  });
});

describe('docs/audit.md', () => {
  it('lists every event there is, with what it means, and no other', () => {
    const text = readFileSync(new URL('../../../../../docs/audit.md', import.meta.url), 'utf8');
    const catalogue = text.slice(text.indexOf('## Events'));
    const listed = [...catalogue.matchAll(/^\| `(\w+)` *\| (.*?) *\|$/gm)].map(([, name, meaning]) => [
      name,
      meaning,
    ]);
    expect(listed.sort()).toEqual(AUDIT_EVENT_NAMES.map((name) => [name, meaningOf(name)]).sort());
  });
});
