import { writeFile } from 'node:fs/promises';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { runServerProgram } from '@bonafide/server/cli/program';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InProcessServer, type Attested } from './server-in-process.js';

const SIGHTINGS = 'bonafide.entry.v1.SelectorSightings';
const PAY = 'spiffe://example.org/pay';

let server: InProcessServer;
let agent: Attested;

beforeAll(async () => {
  server = await InProcessServer.start();
  agent = await server.attestNew();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

async function command(argv: readonly string[], input = '') {
  const host = createRecordedHost({ input, environment: { BONAFIDE_SERVER_SOCKET: server.socketPath } });
  const code = await runServerProgram(argv, host);
  return { code, ...host.printed };
}

async function entriesFile(...entries: readonly object[]): Promise<string> {
  const path = server.directory.join('entries.json');
  await writeFile(path, JSON.stringify({ scope: { spiffe_id_prefix: PAY }, entries }));
  return path;
}

function entry(path: string, uid: number, more: object = {}): object {
  const selectors = [{ type: 'unix', value: `uid:${uid}` }];
  return { spiffe_id: `${PAY}${path}`, parent_id: agent.spiffeId, selectors, ...more };
}

describe('entries as code', () => {
  it('are planned, confirmed, applied, and pruned', async () => {
    const path = await entriesFile(entry('/api', 1, { entry_id: 'api' }), entry('/web', 2));
    const plan = await command(['entry', 'plan', '-f', path]);
    expect(plan.stderr).toBe('');
    expect(plan.code).toBe(2);
    expect(plan.stdout).toContain(`+ ${PAY}/api (entry api)\n`);
    expect(plan.stdout).toContain(`${agent.spiffeId} gains 2\n`);
    expect(plan.stdout).toContain(`+ processes with unix:uid:1 get ${PAY}/api, on 1 agent\n`);
    expect(plan.stdout).toContain('Plan: 2 to create, 0 to update, 0 to delete; 0 unchanged\n');

    const refused = await command(['entry', 'apply', '-f', path], 'no\n');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('nothing was changed: the plan was not confirmed');
    const applied = await command(['entry', 'apply', '-f', path], 'yes\n');
    expect(applied.stderr).toBe("Apply this plan? Only 'yes' is a yes: ");
    expect(applied.stdout).toMatch(
      /Applied in revision \d+: 2 created, 0 updated, 0 deleted; 0 unchanged\n$/,
    );
    expect(applied.code).toBe(0);
    const again = await command(['entry', 'apply', '-f', path, '--yes', '--wait']);
    expect(again).toEqual({
      code: 0,
      stderr: '',
      stdout: 'No changes: the registry is as the file says (2 entries)\n',
    });
    expect((await command(['entry', 'plan', '-f', path])).code).toBe(0);

    const less = await entriesFile(entry('/api', 1, { entry_id: 'api', hint: 'internal' }));
    const pruning = await command(['entry', 'plan', '--file', less, '--prune']);
    expect(pruning.stdout).toContain('    hint: none -> "internal"\n');
    expect(pruning.stdout).toContain(`- processes with unix:uid:2 no longer get ${PAY}/web, on 1 agent\n`);
    expect(pruning.stdout).toContain(`${agent.spiffeId} loses 1, renews 1\n`);
    const json = await command(['entry', 'apply', '-f', less, '--prune', '--yes', '--output', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ summary: { created: 0, updated: 1, deleted: 1 } });
    expect((await command(['entry', 'count'])).stdout).toBe('1 registration entry\n');
  });

  it('are refused with the line of the file', async () => {
    const path = server.directory.join('wrong.yaml');
    const lines = [
      'entries:',
      `  - spiffe_id: ${PAY}/x`,
      `    parent_id: ${agent.spiffeId}`,
      '    selectors: [{type: unix, value: "uid:9"}]',
      '    federates_with: [other.example]',
    ];
    await writeFile(path, lines.join('\n'));
    const { code, stderr } = await command(['entry', 'apply', '-f', path, '--yes']);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `Error: ${path}:2:5: entries.0: there is no bundle of federated trust domain other.example; set it first\n`,
    );
  });

  it('take thousands of entries', async () => {
    const entries = Array.from({ length: 1500 }, (_, index) => entry(`/many/${index}`, 10_000 + index));
    const path = await entriesFile(...entries);
    const applied = await command(['entry', 'apply', '-f', path, '--prune', '--yes']);
    expect(applied.stderr).toBe('');
    expect(applied.stdout).toContain('1500 created, 0 updated, 1 deleted; 0 unchanged\n');
    await command([
      'entry',
      'apply',
      '-f',
      await entriesFile(entry('/api', 1, { entry_id: 'api' })),
      '--prune',
      '--yes',
    ]);
  });
});

describe('an entry explained', () => {
  it('tells whom it reaches, and which of its selectors were presented', async () => {
    const before = await command(['entry', 'explain', '--entry-id', 'api']);
    expect(before.stderr).toBe('');
    expect(before.stdout).toContain(`${PAY}/api (entry api)\n`);
    expect(before.stdout).toContain(`its parent is the agent ${agent.spiffeId}, which is attested\n`);
    expect(before.stdout).toContain(`  1 agent may serve it\n    ${agent.spiffeId} is not connected`);
    expect(before.stdout).toContain('unix:uid:1 was never presented by a process');
    const client = await server.remote(SIGHTINGS, agent);
    const selectors = ['uid:1', 'uid:4242'].map((value) => ({ type: 'unix', value }));
    await callUnary(client, 'ReportSightings', { selectors });
    const after = await command(['entry', 'explain', '--spiffe-id', `${PAY}/api`]);
    expect(after.stdout).toMatch(/unix:uid:1 was last presented in the hour from .*, on spiffe:/);
  });

  it('tells of a parent that is not there, of an alias that no node has, and of others for the same processes', async () => {
    await server.createEntry('spiffe://example.org/nowhere', '/lost');
    expect(
      (await command(['entry', 'explain', '--spiffe-id', 'spiffe://example.org/lost'])).stdout,
    ).toContain(
      'its parent spiffe://example.org/nowhere is neither an attested node nor an entry: nobody gets it',
    );
    await server.createEntry('spiffe://example.org/spire/server', '/racks', {
      selectors: [{ type: 'rack', value: '7' }],
    });
    await server.createEntry('spiffe://example.org/racks', '/on-racks');
    const { stdout } = await command(['entry', 'explain', '--spiffe-id', 'spiffe://example.org/on-racks']);
    expect(stdout).toContain(
      'which leads to 0 agents\n    no node has any of the selectors of the alias\n  no agent may serve it\n',
    );
    await server.createEntry(agent.spiffeId, '/one', { hint: 'same' });
    await server.createEntry(agent.spiffeId, '/two', { hint: 'same' });
    const two = await command(['entry', 'explain', '--spiffe-id', 'spiffe://example.org/two']);
    expect(two.stdout).toContain('the same processes earn spiffe://example.org/one by entry');
    const none = await command(['entry', 'explain', '--entry-id', 'nothing']);
    expect(none.stderr).toBe('Error: there is no entry nothing\n');
  });
});
