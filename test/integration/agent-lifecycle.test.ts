import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it } from 'vitest';
import { InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

describe('the agent, from attestation to delivery', () => {
  it('attests by join token and delivers the SVID of an entry to a process', async () => {
    await using server = await InProcessServer.start();
    const joinToken = await server.createToken();
    const agentId = `spiffe://example.org/spire/agent/join_token/${joinToken}`;
    await server.createEntry(agentId, '/web', { selectors: [OWN_SELECTOR] });
    await using agent = await InProcessAgent.start({ server, joinToken });
    const svids = await waitFor('the SVID', () => agent.fetch(), {
      explain: () => JSON.stringify(agent.logLines, undefined, 1),
    });
    expect(svids.map(({ spiffeId }) => spiffeId)).toEqual(['spiffe://example.org/web']);
  });
});
