import { silentLogger } from '@bonafide/shared/runtime/logger';
import { spiffeIdFromParts } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { waitFor } from '@bonafide/testing/wait-for';
import { expect, it } from 'vitest';
import { exampleTrustDomain } from '../store/example-records.js';
import type { DeliveryEvent, DeliveryExchange } from '../store/delivery-exchange.js';
import { AgentRevisions } from './agent-revisions.js';
import { DeliveryAnswers } from './answer-questions.js';
import { parseAnswer } from './answer-body.js';
import { ConcernedAgents, type AgentDirectory } from './concerned-agents.js';
import { DeliveryWaits } from './wait-for-delivery.js';

const trustDomain = exampleTrustDomain('example.org');
const agentId = spiffeIdFromParts(trustDomain, '/spire/agent/x/polls');
const REVISION = 10;
const MINUTE_MS = 60_000;

/** One agent, whom revision 10 concerned. */
const directory: AgentDirectory = {
  revision: REVISION,
  node: () => ({ isBanned: false, quarantine: undefined }),
  agentsFollowing: () => [agentId],
  subscribe: () => () => undefined,
};
const reaches = [{ agents: [agentId], entryIds: ['e'], trustDomains: [] }];
const told = { commits: [], isReload: false, reaches, nodes: [], resets: [], bundles: [] };
const earlier = { since: REVISION - 1, changes: [{ ...told, revision: REVISION }] };

function rooms(clock: FakeClock) {
  const agents = new AgentRevisions({ clock, isAttested: () => true });
  const concerned = new ConcernedAgents(directory, trustDomain, earlier);
  return { agents, concerned, serverId: 'here', clock, log: silentLogger };
}

/** One question of another server, and what it is answered. */
class OneQuestion implements DeliveryExchange {
  readonly answers: string[] = [];
  readonly #listeners = new Set<(event: DeliveryEvent) => void>();

  pose(): void {
    for (const listener of this.#listeners) listener({ kind: 'questions' });
  }

  subscribe(listener: (event: DeliveryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  openQuestions = () => Promise.resolve([{ id: 'q', revision: REVISION }]);
  answer = (_id: string, body: string) => {
    this.answers.push(body);
    return Promise.resolve(true);
  };
  listeningServers = () => Promise.resolve([]);
  ask = () => Promise.reject(new Error('nobody asks here'));
  repeat = () => Promise.resolve(false);
  takeAnswers = () => Promise.resolve([]);
  withdraw = () => Promise.resolve();
}

it('an agent that polls another server and falls silent is offline for the asker, without a word from it', async () => {
  const clock = new FakeClock();
  const parts = rooms(clock);
  parts.agents.polled(agentId, REVISION);
  const lastHeard = clock.now();
  const exchange = new OneQuestion();
  const answering = new DeliveryAnswers({ ...parts, exchange });
  exchange.pose();
  const answered = (index: number) => parseAnswer(exchange.answers[index] ?? '', 'here').agents;
  await waitFor('the first answer', () => exchange.answers.length === 1);
  expect(answered(0)).toEqual([{ kind: 'behind', agentId, appliedRevision: 0, serverId: 'here' }]);
  await waitFor('the second answer', async () => {
    await clock.advance(1000);
    return exchange.answers.length === 2;
  });
  expect(answered(1)).toEqual([{ kind: 'offline', agentId, since: lastHeard, isExact: true }]);
  const silentMs = clock.now().getTime() - lastHeard.getTime();
  expect(silentMs).toBeGreaterThanOrEqual(MINUTE_MS);
  expect(silentMs).toBeLessThan(MINUTE_MS + 5000);
  await answering.stop();
  expect(clock.pendingTimers).toBe(0);
});

it('an agent that polls here and falls silent while it is waited for is offline at the end', async () => {
  const clock = new FakeClock();
  const parts = rooms(clock);
  parts.agents.polled(agentId, REVISION);
  const waits = new DeliveryWaits({ ...parts, exchange: undefined });
  const ended = (async () => {
    const wait = { revision: REVISION, timeoutMs: 2 * MINUTE_MS, signal: new AbortController().signal };
    for await (const progress of waits.wait(wait)) if (progress.kind === 'final') return [...progress.agents];
    return [];
  })();
  let agents: Awaited<typeof ended> | undefined;
  void ended.then((final) => (agents = final));
  await waitFor('the end', async () => {
    await clock.advance(1000);
    return agents !== undefined;
  });
  expect(agents).toMatchObject([{ kind: 'offline', agentId, isExact: true }]);
});

it('an agent that polls and goes on asking is not taken for silent', async () => {
  const clock = new FakeClock();
  const { agents } = rooms(clock);
  agents.polled(agentId, REVISION);
  await clock.advance(MINUTE_MS - 1);
  expect(agents.stateOf(agentId)).toMatchObject({ kind: 'connected', appliedRevision: 0 });
  agents.polled(agentId, REVISION);
  await clock.advance(MINUTE_MS - 1);
  expect(agents.stateOf(agentId)).toMatchObject({ kind: 'connected', appliedRevision: REVISION });
  await clock.advance(1);
  expect(agents.stateOf(agentId)).toMatchObject({ kind: 'away', appliedRevision: REVISION });
});
