import { writeFile } from 'node:fs/promises';
import { isServing } from '@bonafide/testing/health';
import { LaunchedProcess } from '@bonafide/testing/launched-process';
import { programPath } from '@bonafide/testing/program-path';
import { runCommand } from '@bonafide/testing/run-command';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  hasSpire,
  launchSpireServer,
  NEEDS_SPIRE,
  writeManyEntries,
  type SpireServer,
} from './spire-programs.js';

const UID = `unix:uid:${process.getuid?.() ?? 0}`;
const AGENT_TTL_SECONDS = 60;

describe.runIf(hasSpire)(`our agent at a stock SPIRE server ${NEEDS_SPIRE}`, () => {
  let directory: TemporaryDirectory;
  let server: SpireServer;
  let agent: LaunchedProcess;
  let agentId: string;
  const limit = { limitMs: 150_000, intervalMs: 250, explain: (): string => agent.output };

  beforeAll(async () => {
    directory = createTemporaryDirectory({ isPublic: true });
    const settings = `default_x509_svid_ttl = "1h" agent_ttl = "${AGENT_TTL_SECONDS}s"`;
    server = await launchSpireServer(directory.path, settings);
    await writeFile(directory.join('bundle.pem'), await server.program.command('bundle', 'show'));
    ({ agent, agentId } = await launchAgent('first'));
  });
  afterAll(async () => {
    await agent[Symbol.asyncDispose]();
    await server.program[Symbol.asyncDispose]();
    directory.remove();
  });

  const socketOf = (name: string): string => directory.join(`${name}.sock`);

  async function launchAgent(name: string): Promise<{ agent: LaunchedProcess; agentId: string }> {
    const token = /^Token: (\S+)/m.exec(await server.program.command('token', 'generate'))?.[1] ?? '';
    const id = `spiffe://example.org/spire/agent/join_token/${token}`;
    await create(id, name);
    const configuration = directory.join(`${name}.json`);
    await writeFile(
      configuration,
      JSON.stringify({
        agent: {
          trust_domain: 'example.org',
          server_addresses: [`127.0.0.1:${server.port}`],
          socket_path: socketOf(name),
          data_dir: directory.join(name),
          trust_bundle_path: directory.join('bundle.pem'),
          join_token: token,
          log_level: 'DEBUG',
        },
      }),
    );
    const launched = await LaunchedProcess.launch({
      name,
      command: process.execPath,
      args: [programPath('agent'), 'run', '--config', configuration],
      isReady: () => isServing(socketOf(name)),
      readyLimitMs: 60_000,
    });
    return { agent: launched, agentId: id };
  }

  async function create(parentId: string, path: string): Promise<string> {
    const flags = ['-parentID', parentId, '-spiffeID', `spiffe://example.org/${path}`, '-selector', UID];
    const printed = await server.program.command('entry', 'create', ...flags);
    return /^Entry ID\s+: (\S+)/m.exec(printed)?.[1] ?? '';
  }

  async function fetched(name: string, ...args: readonly string[]): Promise<string> {
    const command = ['api', 'fetch', ...args, '--socket-path', socketOf(name)];
    return (await runCommand('agent', command)).stdout;
  }

  const ids = async (): Promise<readonly string[]> =>
    [...(await fetched('first', 'x509')).matchAll(/^SPIFFE ID:\s+spiffe:\/\/example\.org\/(\S+)/gm)].map(
      ([, path = '']) => path,
    );

  it('has its SVID, and JWT-SVIDs', async () => {
    await waitFor('the SVID', async () => (await ids()).includes('first'), limit);
    expect(agent.output).toContain('the server has no Watch');
    const jwt = ['jwt', '--audience', 'db', '--spiffe-id', 'spiffe://example.org/first'];
    await waitFor('a JWT-SVID', async () => (await fetched('first', ...jwt)).includes('token('), limit);
  });

  it('hears of entries that come, change and go', async () => {
    const entryId = await create(agentId, 'second');
    await waitFor('the entry', async () => (await ids()).includes('second'), limit);
    const flags = ['-parentID', agentId, '-spiffeID', 'spiffe://example.org/renamed', '-selector', UID];
    await server.program.command('entry', 'update', '-entryID', entryId, ...flags);
    await waitFor(
      'the change',
      async () => {
        const present = await ids();
        return present.includes('renamed') && !present.includes('second');
      },
      limit,
    );
    await server.program.command('entry', 'delete', '-entryID', entryId);
    await waitFor('the end of it', async () => !(await ids()).includes('renamed'), limit);
  });

  it('takes more entries than the server sends at once', async () => {
    const path = directory.join('many.json');
    const count = await writeManyEntries(path, agentId);
    await server.program.command('entry', 'create', '-data', path);
    const taken = `"entries":${count + 1}|entries=${count + 1}\\b`;
    await waitFor('all of them', () => new RegExp(taken).test(agent.output), limit);
  });

  it('renews its own SVID, and waits for the server when it is away', async () => {
    await waitFor('a renewal', () => agent.output.includes('Successfully rotated agent SVID'), limit);
    await server.program.process.stop();
    await waitFor('the agent to notice', () => agent.output.includes('cannot ask the server'), limit);
    expect(await ids()).toEqual(['first']);
    await server.program.process.start();
    await create(agentId, 'afterwards');
    await waitFor('the next entry', async () => (await ids()).includes('afterwards'), limit);
  });

  it('stops when it is banned', async () => {
    await server.program.command('agent', 'ban', '-spiffeID', agentId);
    await waitFor('the end of the agent', () => !agent.isRunning, limit);
    expect(agent.output).toContain('is banned');
    expect(agent.exitCode).not.toBe(0);
  });

  it('stops when it is evicted and has nothing left to prove itself with', async () => {
    const evicted = await launchAgent('evicted');
    await using process = evicted.agent;
    await waitFor('the SVID', async () => (await fetched('evicted', 'x509')).includes('/evicted'), limit);
    await server.program.command('agent', 'evict', '-spiffeID', evicted.agentId);
    await waitFor('the end of the agent', () => !process.isRunning, {
      ...limit,
      explain: () => process.output,
    });
    expect(process.output).toContain('start the agent with new evidence');
  });

  it('gave the server no reason to complain', () => {
    const complaints = server.program
      .logged('warning', 'error')
      .filter(
        (line) =>
          !/umask|join_token|self-signed|agent (?:is banned|evicted)|is not attested|AGENT_/i.test(line),
      );
    expect(complaints).toEqual([]);
  });
});
