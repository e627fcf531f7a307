import { readFile, writeFile } from 'node:fs/promises';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { launchServer, type LaunchedServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  hasSpire,
  launchSpireAgent,
  NEEDS_SPIRE,
  writeManyEntries,
  type SpireProgram,
} from './spire-programs.js';

const UID = `unix:uid:${process.getuid?.() ?? 0}`;

describe.runIf(hasSpire)(`a stock SPIRE agent at our server ${NEEDS_SPIRE}`, () => {
  let directory: TemporaryDirectory;
  let server: LaunchedServer;
  let agent: SpireProgram;
  let agentId: string;
  const limit = { limitMs: 150_000, intervalMs: 250, explain: (): string => agent.process.output };

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    server = await launchServer({ directory: directory.path, config: { server: { agent_ttl: '60s' } } });
    const bundlePath = directory.join('bundle.pem');
    await writeFile(bundlePath, await server.commandOutput('bundle', 'show'));
    const joinToken = /^Token: (\S+)/m.exec(await server.commandOutput('token', 'generate'))?.[1] ?? '';
    agentId = `spiffe://example.org/spire/agent/join_token/${joinToken}`;
    await create('first');
    agent = await launchSpireAgent({
      directory: directory.path,
      serverPort: server.port,
      bundlePath,
      joinToken,
    });
  });
  afterAll(async () => {
    await agent[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    directory.remove();
  });

  async function create(path: string, ...more: readonly string[]): Promise<string> {
    const flags = ['--parent-id', agentId, '--spiffe-id', `spiffe://example.org/${path}`, '--selector', UID];
    const printed = await server.commandOutput('entry', 'create', ...flags, ...more);
    return /^Entry ID\s+: (\S+)/m.exec(printed)?.[1] ?? '';
  }

  const fetched = (): Promise<string> => agent.command('api', 'fetch', 'x509');

  it('has its SVID, and JWT-SVIDs that it can validate', async () => {
    await waitFor('the SVID', async () => (await fetched()).includes('spiffe://example.org/first'), limit);
    const printed = await agent.command('api', 'fetch', 'jwt', '-audience', 'db');
    const token = /eyJ[\w.-]+/.exec(printed)?.[0] ?? '';
    const validated = await agent.command('api', 'validate', 'jwt', '-audience', 'db', '-svid', token);
    expect(validated).toContain('spiffe://example.org/first');
  });

  it('hears of entries that come, change and go', async () => {
    const entryId = await create('second', '--x509-svid-ttl', '30');
    await waitFor('the entry', async () => (await fetched()).includes('spiffe://example.org/second'), limit);
    await waitFor('a renewal', () => agent.process.output.includes('Renewing X509-SVID'), limit);
    const flags = ['--parent-id', agentId, '--spiffe-id', 'spiffe://example.org/renamed', '--selector', UID];
    await server.commandOutput('entry', 'update', '--entry-id', entryId, ...flags);
    await waitFor(
      'the change',
      async () => (await fetched()).includes('spiffe://example.org/renamed'),
      limit,
    );
    await server.commandOutput('entry', 'delete', '--entry-id', entryId);
    await waitFor('the end of it', async () => !(await fetched()).includes('/renamed'), limit);
  });

  it('takes more entries than the server sends at once', async () => {
    const path = directory.join('many.json');
    const count = await writeManyEntries(path, agentId);
    await server.commandOutput('entry', 'create', '--data', path);
    const made = (): number => [...agent.process.output.matchAll(/Creating X509-SVID/g)].length;
    await waitFor('an SVID for each', () => made() >= count, limit);
    expect(await fetched()).toContain('spiffe://example.org/first');
  });

  it('renews its own SVID', async () => {
    await waitFor('a renewal', () => agent.process.output.includes('Successfully rotated agent SVID'), limit);
  });

  it('replaces what an authority has signed that is tainted', async () => {
    const before = await issuer();
    const prepared = await authority('prepare');
    const { active } = await authority('show');
    await authority('activate', '--authority-id', prepared.prepared ?? '');
    await authority('taint', '--authority-id', active ?? '');
    await waitFor('an SVID of another authority', async () => (await issuer()) !== before, limit);
  });

  it('found nothing to complain about', () => {
    const ownAffairs = /umask|not reattestable and the 'memory' key manager/;
    expect(agent.logged('error', 'warning').filter((line) => !ownAffairs.test(line))).toEqual([]);
  });

  it('stops when it is banned', async () => {
    await server.commandOutput('agent', 'ban', '--spiffe-id', agentId);
    await waitFor('the end of the agent', () => !agent.process.isRunning, limit);
    expect(agent.process.output).toContain('Agent is banned');
  });

  /** Key identifier of the authority that has signed the first SVID. */
  async function issuer(): Promise<string> {
    await agent.command('api', 'fetch', 'x509', '-write', directory.path);
    const [leaf = Buffer.alloc(0)] = decodePem(
      'CERTIFICATE',
      await readFile(directory.join('svid.0.pem'), 'utf8'),
    );
    return parseX509Certificate(leaf).authorityKeyId ?? '';
  }

  async function authority(...args: readonly string[]): Promise<{ active?: string; prepared?: string }> {
    const printed = await server.commandOutput('localauthority', 'x509', ...args, '--output', 'json');
    const answer = JSON.parse(printed) as Record<string, { authority_id?: string } | undefined>;
    const idOf = (slot: string): string => answer[slot]?.authority_id ?? '';
    return { active: idOf('active'), prepared: idOf('prepared_authority') };
  }
});
