import { waitFor } from '@bonafide/testing/wait-for';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';
import { TcpRelay } from './tcp-relay.js';

const LIMIT = { limitMs: 150_000 };

describe('an agent that knows several servers', () => {
  it('attests at one that is there, goes to another when it dies, and misses nothing', async () => {
    await using server = await InProcessServer.start();
    const relays = [await TcpRelay.start(server.port), await TcpRelay.start(server.port)];
    const nobody = await TcpRelay.start(server.port);
    nobody.cut();
    const joinToken = await server.createToken();
    const parent = agentIdOf(joinToken);
    const entryId = await server.createEntry(parent, '/before', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({
      server,
      joinToken,
      config: {
        agent: {
          server_address: undefined,
          server_port: undefined,
          server_addresses: [...relays, nobody].map(({ port }) => `127.0.0.1:${port}`),
        },
      },
    });
    await waitFor('the SVID', async () => (await agent.fetch()).length === 1, LIMIT);
    const present = await waitFor('a connection', () => relays.find(({ open }) => open > 0), LIMIT);
    const other = relays.find((relay) => relay !== present);
    if (other === undefined) throw new Error('there is no other server');
    const before = other.accepted;

    present.cut();
    await server.createEntry(parent, '/after', { selectors: [OWN_SELECTOR] });
    await callUnary(server.local('spire.api.server.entry.v1.Entry'), 'BatchDeleteEntry', { ids: [entryId] });
    await waitFor(
      'what changed meanwhile',
      async () => {
        const ids = (await agent.fetch()).map(({ spiffeId }) => spiffeId);
        return ids.length === 1 && ids[0] === 'spiffe://example.org/after';
      },
      { ...LIMIT, explain: () => agent.logLines.map(({ msg }) => msg).join('\n') },
    );
    expect(other.accepted).toBeGreaterThan(before);
    // By its cursor: a snapshot was told once, at the start.
    expect(agent.logLines.filter((line) => 'kind' in line && line.kind === 'snapshot')).toHaveLength(1);
    for (const relay of relays) relay.cut();
  });
});
