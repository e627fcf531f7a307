/** Links that freeze or break, between a server and its database and between agents and a server: nobody waits for ever, and all agree afterwards. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { adminClient } from './admin-client.js';
import { useSharedRegistry, type Site } from './shared-registry.js';

const LIMIT = { limitMs: 120_000 };

describe('a link that is broken', () => {
  const sharedRegistry = useSharedRegistry({
    agents: [
      ['a', 'b'],
      ['a', 'b'],
      ['b', 'a'],
    ],
  });

  async function isWithoutDatabase({ server }: Site): Promise<void> {
    await waitFor(
      'the server to say that its database is lost',
      async () => (await server.commandOutput('healthcheck')).includes('The database cannot be reached'),
      LIMIT,
    );
  }

  async function refusalOfToken({ server }: Site): Promise<unknown> {
    const client = adminClient(server, 'spire.api.server.agent.v1.Agent');
    try {
      return await callUnary(client, 'CreateJoinToken', { ttl: 600 }, { deadlineMs: 120_000 });
    } catch (error) {
      return error;
    } finally {
      client.close();
    }
  }

  it('between one server and the database, frozen and then refused, hinders nobody else', async () => {
    const registry = sharedRegistry();
    const { a, b } = registry;
    const entries = registry.changeEntries();
    const tokens = await registry.raceForTokens();
    await registry.isAtWork(entries);
    b.databaseLink.freeze();
    const startedMs = performance.now();
    await isWithoutDatabase(b);
    const noticedMs = Math.round(performance.now() - startedMs);
    expect(await refusalOfToken(b)).toSatisfy((error) => hasReason(error, 'unavailable'));
    const refusedMs = Math.round(performance.now() - startedMs);
    await registry.isAtWork(entries);
    expect(await a.server.commandOutput('healthcheck')).toBe('Server is healthy.\n');
    await b.databaseLink.heal();
    await registry.isAtWork(entries);

    b.databaseLink.refuse();
    b.databaseLink.cut();
    await isWithoutDatabase(b);
    expect(await refusalOfToken(b)).toSatisfy((error) => hasReason(error, 'unavailable'));
    await registry.isAtWork(entries);
    await b.databaseLink.heal();
    await Promise.all([entries.stop(), tokens.stop()]);
    const settledMs = await registry.invariants.check({ entries, tokens });
    process.stdout.write(
      `database link frozen: noticed after ${noticedMs} ms, a write refused after ${refusedMs} ms; all agreed ${settledMs} ms after healing\n`,
    );
  });

  it.each([
    // What agents say still arrives, and nothing comes back.
    { name: 'half-open', directions: ['to_client'] },
    { name: 'frozen', directions: ['to_target', 'to_client'] },
  ] as const)(
    'between agents and one of their servers, $name, sends them to the other',
    async ({ name, directions }) => {
      const registry = sharedRegistry();
      const { a, b } = registry;
      // Wherever most of them are.
      const [site, other] = a.agentLink.open >= b.agentLink.open ? [a, b] : [b, a];
      expect(site.agentLink.open).toBeGreaterThan(0);
      site.agentLink.freeze(...directions);
      const entries = registry.changeEntries();
      await registry.isAtWork(entries);
      await entries.stop();
      const movedMs = await registry.invariants.check({ entries });
      expect(other.agentLink.open).toBeGreaterThan(0);
      await site.agentLink.heal();
      process.stdout.write(`${name} link: all agents had moved after ${movedMs} ms\n`);
    },
    300_000,
  );

  it('between agents and all of their servers leaves them what they hold until they come back', async () => {
    const registry = sharedRegistry();
    const { a, b, agents } = registry;
    const held = agents.map(({ present }) => present);
    for (const { agentLink } of [a, b]) {
      agentLink.refuse();
      agentLink.cut();
    }
    const entries = registry.changeEntries();
    await registry.isAtWork(entries);
    await entries.stop();
    await waitFor(
      'the agents to notice',
      () => agents.every(({ agent }) => agent.process.output.slice(-2_000).includes('lost touch with')),
      LIMIT,
    );
    expect(agents.map(({ present }) => present)).toEqual(held);
    for (const { agentLink } of [a, b]) await agentLink.heal();
    const settledMs = await registry.invariants.check({ entries });
    process.stdout.write(`agents cut off: all agreed ${settledMs} ms after healing\n`);
  });
});
