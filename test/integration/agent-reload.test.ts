/** An agent that is told to read its configuration again: what changes is seen by the processes of its node. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fetchX509Svids } from '@bonafide/agent/cli/api/workload-call';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { launchAgent } from '@bonafide/testing/launch-agent';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { launchServer } from '@bonafide/testing/launch-server';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR, type LogLine } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const WEB = 'spiffe://example.org/web';
const LIMIT_MS = 120_000;

interface RefusalLine extends LogLine {
  readonly selectors?: readonly string[];
}

/** An agent with an entry for this process, when `path` is one. */
async function startAgent(
  server: InProcessServer,
  config: ConfigFile = {},
  path?: string,
): Promise<InProcessAgent> {
  const joinToken = await server.createToken();
  if (path !== undefined) {
    await server.createEntry(agentIdOf(joinToken), path, { selectors: [OWN_SELECTOR] });
  }
  return InProcessAgent.start({ server, joinToken, config: { agent: config } });
}

describe('after a reload of the agent', { timeout: 240_000 }, () => {
  it('limits hold for the next call of a user, those of before for streams that are open', async () => {
    await using server = await InProcessServer.start();
    await using agent = await startAgent(server, {}, '/web');
    await agent.fetched('the SVID');
    const held = fetchX509Svids(agent.socketPath, { deadlineMs: LIMIT_MS })[Symbol.asyncIterator]();
    await held.next();
    await agent.fetch(LIMIT_MS);

    const one = { agent: { limits: { max_streams_per_uid: 1, max_streams_per_connection: 7 } } };
    expect(await agent.reload(one)).toMatchObject({
      changed: expect.arrayContaining(['agent.limits.max_streams_per_uid']) as unknown,
      needRestart: ['agent.limits.max_streams_per_connection'],
    });
    await expect(agent.fetch(LIMIT_MS)).rejects.toThrow(
      'has 1 streams open, which is as many as one user may have',
    );

    await agent.reload({});
    expect(await agent.fetched('the SVID once more')).toHaveLength(1);
    await held.return(undefined);
  });

  it('the log shows the selectors of whoever is refused as the new file has it', async () => {
    await using server = await InProcessServer.start();
    await using agent = await startAgent(server, { log_selectors: 'none' });
    await waitFor('the agent to serve', () => agent.logged('Starting agent APIs') > 0);
    await agent.reload({ agent: { log_selectors: 'full' } });
    await expect(agent.fetch(LIMIT_MS)).rejects.toSatisfy((error) => hasReason(error, 'permission_denied'));
    const refusals = agent.logLines.filter(({ msg }) => msg.includes('no identity issued'));
    expect(refusals.map((line: RefusalLine) => line.selectors)).toEqual([
      expect.arrayContaining([`${OWN_SELECTOR.type}:${OWN_SELECTOR.value}`]),
    ]);
  });

  it('helpers begin, write to other files and end, and one that cannot begin has the reload refused', async () => {
    await using server = await InProcessServer.start();
    await using agent = await startAgent(server, {}, '/web');
    await agent.fetched('the SVID');
    const folder = agent.directory.join('files');
    const helper = { spiffe_id: WEB, cert_dir: folder };
    const of = (...helpers: readonly ConfigFile[]): ConfigFile => ({ agent: { helpers } });

    expect(await agent.reload(of(helper))).toMatchObject({ needRestart: [] });
    await waitFor('the files of the new helper', () => existsSync(`${folder}/svid.pem`));

    await agent.reload(of({ ...helper, svid_file_name: 'web.pem' }));
    await waitFor('the file of the new name', () => existsSync(`${folder}/web.pem`));
    expect(existsSync(`${folder}/svid.pem`)).toBe(false);

    writeFileSync(agent.directory.join('plain'), '');
    const nowhere = { spiffe_id: WEB, cert_dir: agent.directory.join('plain', 'files') };
    expect(await agent.reload(of(nowhere))).toMatchObject({ kind: 'refused' });
    expect(await agent.reload(of({ ...helper, owner: 'nobody-of-that-name' }))).toMatchObject({
      kind: 'refused',
    });
    expect(agent.logged('no helper keeps this folder')).toBe(0);

    const before = readFileSync(`${folder}/web.pem`, 'utf8');
    await agent.reload(of());
    expect(agent.logged('no helper keeps this folder')).toBe(1);
    expect(readFileSync(`${folder}/web.pem`, 'utf8')).toBe(before);

    await agent.reload(of(helper));
    await waitFor('the files of the helper that is back', () => existsSync(`${folder}/svid.pem`));
  });
});

it('SIGHUP has an agent take over its file, and keep all of the one before when one thing is wrong', async () => {
  using directory = createTemporaryDirectory();
  await using server = await launchServer({ directory: directory.path });
  await using agent = await launchAgent({ server, directory: directory.path, readyLimitMs: 120_000 });
  const file = JSON.parse(readFileSync(agent.configPath, 'utf8')) as { agent: Record<string, unknown> };
  const reload = async (change: object, expected: string): Promise<void> => {
    const text = JSON.stringify({ ...file, agent: { ...file.agent, ...change } });
    writeFileSync(`${agent.configPath}.new`, text);
    renameSync(`${agent.configPath}.new`, agent.configPath);
    process.kill(agent.process.pid, 'SIGHUP');
    await waitFor(`a line with ${expected}`, () => agent.process.output.includes(expected), {
      explain: () => agent.process.output,
    });
  };
  await reload(
    { log_selectors: 'none', log_level: 'INFO', x509_svid_cache_max_size: 5 },
    'needs a restart: agent.x509_svid_cache_max_size',
  );
  expect(agent.process.output).not.toMatch(/needs a restart: .*log_selectors/);
  await reload({ log_level: 'DEBUG', log_selektors: 'full' }, 'was not reloaded');
  expect(agent.process.output).toContain('agent.log_selektors: unknown key; did you mean log_selectors?');
  expect((await agent.command(['healthcheck'])).stdout).toContain('Agent is healthy.');
}, 240_000);
