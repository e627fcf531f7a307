/** The section "Clocks" of docs/conformance.md with a whole server and a whole agent, of which one's clock is ten minutes off. */
import { callWorkloadApi } from '@bonafide/agent/cli/api/workload-call';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import type { ConfigFile } from '@bonafide/testing/merge-config';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { waitFor } from '@bonafide/testing/wait-for';
import { describe, expect, it, onTestFinished } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

const TEN_MINUTES_MS = 10 * 60_000;
const LONG_ENOUGH: ConfigFile = { server: { default_jwt_svid_ttl: '20m', ca_ttl: '24h' } };

/** A clock that runs as ours does and shows another time. */
function clockOffBy(offsetMs: number): Clock {
  return { ...systemClock, now: () => new Date(systemClock.now().getTime() + offsetMs) };
}

interface Clocks {
  readonly server: Clock;
  readonly agent: Clock;
  readonly config?: ConfigFile;
}

async function start({
  server: serverClock,
  agent: agentClock,
  config = {},
}: Clocks): Promise<{ server: InProcessServer; agent: InProcessAgent }> {
  const server = await InProcessServer.start({ clock: serverClock, config });
  const joinToken = await server.createToken();
  await server.createEntry(agentIdOf(joinToken), '/web', { selectors: [OWN_SELECTOR] });
  const agent = await InProcessAgent.start({ server, joinToken, clock: agentClock });
  onTestFinished(async () => {
    await agent[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  return { server, agent };
}

async function fetchTokens({ socketPath }: InProcessAgent): Promise<number> {
  const { svids } = await callWorkloadApi(
    { socketPath, timeout: 10 },
    createRecordedHost(),
    (client, settings) => callUnary(client, 'FetchJWTSVID', { audience: ['db'] }, settings),
  );
  return svids.length;
}

describe.each([
  ['a server ten minutes behind', { server: clockOffBy(-TEN_MINUTES_MS), agent: systemClock }],
  ['an agent ten minutes ahead', { server: systemClock, agent: clockOffBy(TEN_MINUTES_MS) }],
])('%s', (_name, clocks) => {
  it('means X.509-SVIDs for workloads, and no JWT-SVID that has expired already', async () => {
    const { agent } = await start(clocks);
    expect(await agent.fetched('the X.509-SVID')).toMatchObject([{ spiffeId: 'spiffe://example.org/web' }]);
    await expect(fetchTokens(agent)).rejects.toThrow('has expired');
    await waitFor('the agent to say why', () => agent.logged('the token has expired') > 0);
  });

  it('does no harm to JWT-SVIDs that live longer than that', async () => {
    const { agent } = await start({ ...clocks, config: LONG_ENOUGH });
    await agent.fetched('the X.509-SVID');
    expect(await fetchTokens(agent)).toBe(1);
  });
});

describe('a server ten minutes ahead', () => {
  it('is not believed by an agent, which says so, keeps its token and tries again', async () => {
    const { server, agent } = await start({ server: clockOffBy(TEN_MINUTES_MS), agent: systemClock });
    await waitFor('the agent to try again', () => agent.logged('not yet valid') > 1, {
      limitMs: 150_000,
      explain: () => agent.logLines.map(({ level, msg }) => `${level} ${msg}`).join('\n'),
    });
    const { agents } = await callUnary(server.local('spire.api.server.agent.v1.Agent'), 'ListAgents', {});
    expect(agents).toEqual([]);
  });
});
