import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const WEB = 'spiffe://example.org/web';

async function startPair(
  entry: object = {},
): Promise<{ server: InProcessServer; agent: InProcessAgent; joinToken: string }> {
  const server = await InProcessServer.start();
  const joinToken = await server.createToken();
  await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR], ...entry });
  const agent = await InProcessAgent.start({ server, joinToken });
  await agent.fetched('the SVID');
  return { server, agent, joinToken };
}

async function ids(agent: InProcessAgent): Promise<readonly string[]> {
  return (await agent.fetch()).map(({ spiffeId }) => spiffeId);
}

describe('an agent whose server is away', () => {
  it('goes on serving, also after it was started again', async () => {
    const { server, agent, joinToken } = await startPair();
    await server.stop();
    expect(await ids(agent)).toEqual([WEB]);
    await agent.stop();
    await using again = await InProcessAgent.start({ server, joinToken, directory: agent.directory });
    await waitFor('the SVID', async () => (await ids(again)).length === 1);
    await waitFor('it to notice', () => again.logged('cannot reach the server') > 0);
    expect(again.logged('node attestation')).toBe(0);
    server.directory.remove();
  });

  it('stops serving an SVID the moment it expires, and serves again when the server is back', async () => {
    const pair = await startPair({ x509SvidTtl: 6 });
    const { server } = pair;
    await using agent = pair.agent;
    const { port } = server;
    await server.stop();
    expect(await ids(agent)).toEqual([WEB]);
    await waitFor('the end of the SVID', () => agent.logged('has expired before it was renewed') === 1);
    await expect(agent.fetch(500)).rejects.toThrow();
    await using back = await InProcessServer.start({
      directory: server.directory,
      config: { server: { bind_port: port } },
    });
    await waitFor('a new SVID', async () => (await ids(agent)).length === 1, { limitMs: 150_000 });
    await back.stop();
    server.directory.remove();
  });

  it.each([
    ['its entries', (names: readonly string[]) => names.filter((name) => name.endsWith('.state'))],
    ['an SVID', (names: readonly string[]) => names.filter((name) => name.includes('svids/'))],
    ['the bundle', (names: readonly string[]) => names.filter((name) => name.includes('bundle'))],
    [
      'everything but its own SVID',
      (names: readonly string[]) => names.filter((name) => !name.includes('agent-svid')),
    ],
  ])('fetches again what was damaged on disk: %s', async (_name, choose) => {
    const { agent, joinToken, ...pair } = await startPair();
    await using server = pair.server;
    await agent.stop();
    const names = await readdir(agent.dataDirectory, { recursive: true, withFileTypes: true });
    const files = names.filter((each) => each.isFile()).map(({ parentPath, name }) => join(parentPath, name));
    const chosen = choose(files);
    expect(chosen.length).toBeGreaterThan(0);
    for (const path of chosen) {
      const whole = await readFile(path);
      await writeFile(path, whole.subarray(0, Math.floor(whole.length / 2)));
    }
    await using again = await InProcessAgent.start({ server, joinToken, directory: agent.directory });
    await again.fetched('the SVID');
    expect(await ids(again)).toEqual([WEB]);
    expect(again.logLines.some(({ level, msg }) => level === 'warn' && msg.includes('ignoring'))).toBe(true);
    expect(again.logged('node attestation')).toBe(0);
  });

  it('ends with advice when its own SVID has expired meanwhile and its token is used', async () => {
    const server = await InProcessServer.start({ config: { server: { agent_ttl: '3s' } } });
    const { port } = server;
    await using agent = await InProcessAgent.start({ server });
    await waitFor('it to serve', () => agent.logged('Starting agent APIs') > 0);
    await server.stop();
    await waitFor('the end of its SVID', () =>
      agent.logLines.some((line) => 'isExpired' in line && line.isExpired === true),
    );
    await using back = await InProcessServer.start({
      directory: server.directory,
      config: { server: { bind_port: port } },
    });
    await expect(agent.ended).rejects.toThrow(/has expired and cannot be renewed.*new join token/);
    await back.stop();
    server.directory.remove();
  });
});
