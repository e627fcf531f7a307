import { writeFile } from 'node:fs/promises';
import { launchAgent, type LaunchedAgent } from '@bonafide/testing/launch-agent';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, expect, it } from 'vitest';

const NODE = 'spiffe://example.org/node';
const PAY = 'spiffe://example.org/pay';
const LIMIT = { limitMs: 150_000 };
const START_LIMIT_MS = 180_000;
const TEST_LIMIT_MS = 180_000;

let directory: TemporaryDirectory;
let server: LaunchedServer;
let agent: LaunchedAgent;

beforeAll(async () => {
  directory = createTemporaryDirectory({ isPublic: true });
  server = await launchServer({ directory: directory.path });
  agent = await launchAgent({ server, directory: directory.path, spiffeId: NODE });
}, START_LIMIT_MS);

afterAll(async () => {
  await agent.kill9();
  await server.stop().catch(() => server.kill9());
  directory.remove();
}, START_LIMIT_MS);

/** A file that owns all below `/pay`. */
async function entriesFile(...paths: readonly string[]): Promise<string> {
  const file = directory.join('entries.json');
  const entries = paths.map((path) => ({
    spiffe_id: `${PAY}${path}`,
    parent_id: NODE,
    selectors: [{ type: 'unix', value: `uid:${process.getuid?.() ?? 0}` }],
  }));
  await writeFile(file, JSON.stringify({ scope: { spiffe_id_prefix: PAY }, entries }));
  return file;
}

async function fetched(): Promise<string> {
  return (await agent.command(['api', 'fetch', 'x509'])).stdout;
}

it(
  'a planned entry is applied, held, served and explained, and pruned away again',
  async () => {
    const file = await entriesFile('/api');
    const plan = await server.command('entry', 'plan', '-f', file);
    expect(plan.stdout).toContain(`${agent.spiffeId} gains 1\n`);
    expect(plan.code).toBe(2);

    const applied = await server.command('entry', 'apply', '-f', file, '--yes', '--wait=20s');
    expect(applied.stderr).toBe('');
    expect(applied.stdout).toContain('Delivered to 1 of 1 agent in ');
    await waitFor(
      'the workload to have its SVID',
      async () => (await fetched()).includes(`${PAY}/api`),
      LIMIT,
    );
    const explained = await waitFor(
      'the agent to tell what it saw',
      async () => {
        const { stdout } = await server.command('entry', 'explain', '--spiffe-id', `${PAY}/api`);
        return stdout.includes('was last presented') && stdout;
      },
      LIMIT,
    );
    expect(explained).toContain(`${agent.spiffeId} holds it\n`);

    const empty = await entriesFile();
    const pruning = await server.command('entry', 'plan', '-f', empty, '--prune');
    expect(pruning.stdout).toContain(`no longer get ${PAY}/api, on 1 agent\n`);
    const pruned = await server.command('entry', 'apply', '-f', empty, '--prune', '--yes', '--wait=20s');
    expect(pruned.code).toBe(0);
    await waitFor('the SVID to be taken away', async () => !(await fetched()).includes(PAY), LIMIT);
    const gone = await server.command('entry', 'explain', '--spiffe-id', `${PAY}/api`);
    expect(gone.stderr).toBe(`Error: there is no entry for ${PAY}/api\n`);
  },
  TEST_LIMIT_MS,
);
