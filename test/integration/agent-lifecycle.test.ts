import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fetchX509Svids } from '@bonafide/agent/cli/api/workload-call';
import { readX509Answer } from '@bonafide/agent/cli/api/x509-answer';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

describe('the agent, from attestation to delivery', () => {
  it('attests by join token and delivers the SVID of an entry to a process', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    const svids = await agent.fetched('the SVID');
    expect(svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.org/web']);
  });

  it('pushes a new entry, a changed one and the end of one to an open stream', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    await agent.fetched('the first SVID');
    const stream = fetchX509Svids(agent.socketPath, { deadlineMs: 120_000 });
    const nextIds = async (): Promise<readonly string[]> => {
      const { value } = await stream.next();
      if (value === undefined) throw new Error('the stream ended');
      return readX509Answer(value, systemClock.now()).map(({ spiffeId, hint }) =>
        `${spiffeId} ${hint}`.trim(),
      );
    };
    expect(await nextIds()).toEqual(['spiffe://example.org/web']);
    const startMs = performance.now();
    const id = await server.createEntry(agentIdOf(joinToken), '/db', { selectors: [OWN_SELECTOR] });
    expect((await nextIds()).toSorted()).toEqual(['spiffe://example.org/db', 'spiffe://example.org/web']);
    expect(performance.now() - startMs).toBeLessThan(10_000);
    const entries = server.local('spire.api.server.entry.v1.Entry');
    await callUnary(entries, 'BatchUpdateEntry', {
      entries: [{ id, hint: 'database' }],
      inputMask: { hint: true },
    });
    expect(await nextIds()).toContain('spiffe://example.org/db database');
    await callUnary(entries, 'BatchDeleteEntry', { ids: [id] });
    expect(await nextIds()).toEqual(['spiffe://example.org/web']);
    await stream.return(undefined);
  });

  it('keeps its keys in files of mode 0600 in folders of mode 0700 (invariant 6)', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    await agent.fetched('the SVID');
    await agent.stop();
    const found = await readdir(agent.dataDirectory, { recursive: true, withFileTypes: true });
    const names = found.map(({ parentPath, name }) => join(parentPath, name));
    expect(names.length).toBeGreaterThanOrEqual(5);
    for (const [index, entry] of found.entries()) {
      const { mode } = await stat(names[index] ?? '');
      expect([names[index], mode & 0o777]).toEqual([names[index], entry.isDirectory() ? 0o700 : 0o600]);
    }
    expect((await stat(agent.dataDirectory)).mode & 0o777).toBe(0o700);
    const withKeys = [];
    for (const [index, entry] of found.entries()) {
      if (!entry.isFile()) continue;
      const text = await readFile(names[index] ?? '', 'utf8');
      if (text.includes('private_key')) withKeys.push(entry.name);
    }
    expect(withKeys).toHaveLength(2); // its own, and the workload's
    expect(JSON.stringify(agent.logLines)).not.toMatch(/private|BEGIN/i);
    expect(JSON.stringify(agent.logLines).replaceAll(agentIdOf(joinToken), '')).not.toContain(joinToken);
  });

  it('writes no key at all with the memory key manager', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    const config = { plugins: { KeyManager: { memory: {} } } };
    await using agent = await InProcessAgent.start({ server, joinToken, config });
    await agent.fetched('the SVID');
    await agent.stop();
    expect(await readdir(agent.dataDirectory)).toEqual(['trust-bundle.json']);
  });

  it('renews the SVIDs of workloads before they expire, each time under a new key', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR], x509SvidTtl: 4 });
    await using agent = await InProcessAgent.start({ server, joinToken });
    await agent.fetched('the SVID');
    const keys = new Set<string>();
    for await (const answer of fetchX509Svids(agent.socketPath, { deadlineMs: 120_000 })) {
      const [svid] = readX509Answer(answer, systemClock.now());
      keys.add(svid?.privateKey.toString('base64') ?? '');
      if (keys.size === 3) break;
    }
    expect(keys.size).toBe(3);
  });

  it('renews its own SVID and goes on hearing of changes', async () => {
    await using server = await InProcessServer.start({ config: { server: { agent_ttl: '4s' } } });
    const joinToken = await server.createToken();
    await using agent = await InProcessAgent.start({ server, joinToken });
    await waitFor('two renewals', () => agent.logged('Successfully rotated agent SVID') >= 2, {
      limitMs: 150_000,
    });
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    expect(await agent.fetched('the SVID')).toHaveLength(1);
    expect(agent.logged('lost touch')).toBe(0);
  });

  it('starts again with the identity and the SVIDs that it has', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    const first = await InProcessAgent.start({ server, joinToken });
    const [before] = await first.fetched('the SVID');
    await first.stop();
    await using second = await InProcessAgent.start({ server, joinToken, directory: first.directory });
    const [after] = await second.fetched('the SVID again');
    expect(after?.privateKey).toEqual(before?.privateKey);
    await server.createEntry(agentIdOf(joinToken), '/db', { selectors: [OWN_SELECTOR] });
    await waitFor('the new entry', async () => (await second.fetch()).length === 2);
    expect(second.logged('node attestation')).toBe(0);
  });

  it('follows the server to its next authority, and replaces what the former one signed', async () => {
    const config = { server: { ca_ttl: '12s', agent_ttl: '6s' } };
    await using server = await InProcessServer.start({ config });
    const joinToken = await server.createToken();
    await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    const [first] = await agent.fetched('the SVID');
    const [former] = first?.bundle ?? [];
    await waitFor(
      'an SVID under an authority that the first bundle did not have',
      async () => {
        const [svid] = await agent.fetch();
        const issuer = svid?.certificates[0]?.authorityKeyId;
        return issuer !== undefined && issuer !== former?.subjectKeyId;
      },
      { limitMs: 150_000, intervalMs: 250 },
    );
    await server.createEntry(agentIdOf(joinToken), '/db', { selectors: [OWN_SELECTOR] });
    await waitFor('a later entry', async () => (await agent.fetch()).length === 2);
    const stored = await readFile(join(agent.dataDirectory, 'trust-bundle.json'), 'utf8');
    expect((JSON.parse(stored) as { keys: object[] }).keys.length).toBeGreaterThan(1);
  });
});
