import { readdir, readFile, writeFile } from 'node:fs/promises';
import { formatBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { findFreePort } from '@bonafide/testing/free-port';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

async function outcome(agent: InProcessAgent): Promise<unknown> {
  return agent.ended.then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe('an agent that the server turns away', () => {
  it.each(['BanAgent', 'DeleteAgent'] as const)('ends after %s, and leaves no key behind', async (method) => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    await agent.fetched('the SVID');
    const id = { trustDomain: 'example.org', path: `/spire/agent/join_token/${joinToken}` };
    await callUnary(server.local('spire.api.server.agent.v1.Agent'), method, { id });
    const error = await outcome(agent);
    expect(hasReason(error, method === 'BanAgent' ? 'agent_banned' : 'agent_not_attested')).toBe(true);
    expect(String(error)).toContain(method === 'BanAgent' ? 'is banned' : 'new join token');
    await expect(agent.fetch(500)).rejects.toThrow(/no agent listens/);
    const left = await readdir(agent.dataDirectory, { recursive: true });
    expect(left.toSorted()).toEqual(['svids', 'trust-bundle.json']);
  });

  it('attests again by itself when it has a token that is not used yet', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const first = await InProcessAgent.start({ server, joinToken });
    await waitFor('it to serve', () => first.logged('Starting agent APIs') > 0);
    await first.stop();
    const id = { trustDomain: 'example.org', path: `/spire/agent/join_token/${joinToken}` };
    await callUnary(server.local('spire.api.server.agent.v1.Agent'), 'DeleteAgent', { id });
    const newToken = await server.createToken();
    await server.createEntry(agentIdOf(newToken), '/web', { selectors: [OWN_SELECTOR] });
    await using second = await InProcessAgent.start({
      server,
      joinToken: newToken,
      directory: first.directory,
    });
    await waitFor('the SVID', async () => (await second.fetch()).length === 1);
    expect(second.logged('Agent needs to re-attest; will attempt to re-attest')).toBe(1);
  });

  it('says what to do about a token that is unknown or used', async () => {
    await using server = await InProcessServer.start();
    await using unknown = await InProcessAgent.start({ server, joinToken: 'no-such-token' });
    expect(String(await outcome(unknown))).toMatch(/join token does not exist.*token generate/);
    const used = await server.createToken();
    await server.attest(used);
    await using late = await InProcessAgent.start({ server, joinToken: used });
    expect(String(await outcome(late))).toMatch(/already been used.*token generate/);
  });

  it('says that a token is needed when it has none', async () => {
    await using server = await InProcessServer.start();
    await using agent = await InProcessAgent.start({
      server,
      joinToken: 'x',
      config: { agent: { join_token_file: '/dev/null' } },
      withoutToken: true,
    });
    expect(String(await outcome(agent))).toMatch(/the join token file \/dev\/null is empty/);
    await using tokenless = await InProcessAgent.start({ server, withoutToken: true });
    expect(String(await outcome(tokenless))).toMatch(/needs a join token.*--join-token/);
  });
});

describe('an agent and a server that are not for each other', () => {
  it('says that the bundle does not vouch for the server (invariant 3)', async () => {
    await using server = await InProcessServer.start();
    await using agent = await InProcessAgent.start({ server });
    await agent.stop();
    const stranger = await TestAuthority.create('example.org');
    await writeFile(agent.directory.join('other.pem'), formatBundlePem(stranger.bundle()));
    const config = {
      agent: {
        trust_bundle_path: agent.directory.join('other.pem'),
        data_dir: agent.directory.join('fresh'),
      },
    };
    await using wrong = await InProcessAgent.start({ server, config, directory: agent.directory });
    await waitFor('the message', () => wrong.logged('is not one that the trust bundle') > 0);
    expect(wrong.logLines.map(({ msg }) => msg).join('\n')).toContain('other.pem');
  });

  it('refuses a server of another trust domain', async () => {
    await using server = await InProcessServer.start();
    await using agent = await InProcessAgent.start({
      server,
      config: { agent: { trust_domain: 'other.test' } },
    });
    await waitFor(
      'the message',
      () =>
        agent.logged(
          'the server is spiffe://example.org/spire/server; expected spiffe://other.test/spire/server',
        ) > 0,
    );
  });

  it('refuses a server of another trust domain on insecure bootstrap too', async () => {
    await using server = await InProcessServer.start();
    await using agent = await InProcessAgent.start({
      server,
      insecure: true,
      config: { agent: { trust_domain: 'other.test' } },
    });
    expect(String(await outcome(agent))).toContain(
      'the server is of trust domain example.org; expected other.test',
    );
  });

  it('keeps trying a server that is not there, and says where', async () => {
    await using server = await InProcessServer.start();
    const port = await findFreePort();
    await using agent = await InProcessAgent.start({ server, config: { agent: { server_port: port } } });
    await waitFor('two attempts', () => agent.logged(`cannot reach the server at 127.0.0.1:${port}`) >= 2);
  });

  it('believes the first server on insecure bootstrap, loudly, and only that one afterwards', async () => {
    await using server = await InProcessServer.start();
    await using agent = await InProcessAgent.start({ server, insecure: true });
    await waitFor('it to serve', () => agent.logged('Starting agent APIs') > 0);
    expect(agent.logLines.filter(({ level }) => level === 'warn').map(({ msg }) => msg)[0]).toContain(
      'INSECURE',
    );
    await agent.stop();
    expect(await readFile(`${agent.dataDirectory}/trust-bundle.json`, 'utf8')).toContain('x509-svid');
    await using impostor = await InProcessServer.start();
    await using again = await InProcessAgent.start({
      server: impostor,
      insecure: true,
      directory: agent.directory,
    });
    await waitFor('it to refuse', () => again.logged('is not one that the trust bundle') > 0);
    expect(again.logged('INSECURE')).toBe(0);
  });

  it('says which bundle file is missing', async () => {
    await using server = await InProcessServer.start();
    await using agent = await InProcessAgent.start({
      server,
      config: { agent: { trust_bundle_path: '/nowhere/b.pem' } },
    });
    expect(String(await outcome(agent))).toMatch(
      /cannot read the trust bundle \/nowhere\/b\.pem.*bundle show/,
    );
  });
});
