/** A process that is many agents, each with its own SVID and its own connection to the server; it ends with whoever started it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { attestAgents, connectTo } from './attest-agents.js';
import { Counters } from './counters.js';
import { SimulatedAgent } from './simulated-agent.js';
import type {
  Answer,
  NumberedAnswer,
  NumberedQuestion,
  Question,
  SimulatorOrder,
  SimulatorState,
} from './simulator-order.js';

/** How exactly the time is known at which a condition came true. */
const LOOK_EVERY_MS = 20;

process.on('disconnect', () => process.exit());
const order = JSON.parse(process.argv[2] ?? '{}') as SimulatorOrder;
const counters = new Counters();
const agents = await start();
process.on('message', ({ number, question }: NumberedQuestion) => {
  answerTo(question).then(
    (answer) => {
      say({ number, answer });
    },
    (error: unknown) => {
      say({ number, error: String(error) });
    },
  );
});
say({ number: 'ready' });

async function start(): Promise<readonly SimulatedAgent[]> {
  const [first] = order.servers;
  if (first === undefined) throw new Error('no server for the agents');
  const { identities, ...common } = await attestAgents(first, order.agents, order.aliasPath);
  return identities.map(
    (identity) =>
      new SimulatedAgent({
        ...common,
        identity,
        counters,
        trustDomain: parseTrustDomain(first.trustDomain),
        connection: connectTo(order.servers),
      }),
  );
}

async function answerTo(question: Question): Promise<Answer> {
  switch (question.kind) {
    case 'follow': {
      const { manner, isFresh, overMs } = question;
      for (const agent of agents) agent.stop();
      await Promise.all(
        agents
          .slice(0, question.agents)
          .map((agent, index) => agent.follow(manner, isFresh, (overMs * index) / question.agents)),
      );
      return { kind: 'done' };
    }
    case 'stop':
      for (const agent of agents) agent.stop();
      return { kind: 'done' };
    case 'arrivals': {
      const spiffeId = parseSpiffeId(question.spiffeId);
      const following = agents.filter(({ isFollowing }) => isFollowing);
      await until(() => following.every((agent) => agent.seenAtMs(spiffeId) !== undefined));
      return { kind: 'arrived', atMs: following.map((agent) => agent.seenAtMs(spiffeId) ?? Number.NaN) };
    }
    case 'sign':
      await Promise.all(agents.map((agent) => agent.sign()));
      return { kind: 'done' };
    case 'replaced':
      await until(() => agents.every(({ svids }) => svids.signedBy(question.subjectKeyId) === 0));
      return { kind: 'done' };
    case 'state':
      return { kind: 'state', state: stateNow() };
  }
}

function stateNow(): SimulatorState {
  const following = agents.filter(({ isFollowing }) => isFollowing);
  const holdings: Record<string, number> = {};
  for (const agent of following) {
    const name = agent.holdings();
    holdings[name] = (holdings[name] ?? 0) + 1;
  }
  return {
    following: following.length,
    holdings,
    svids: agents.reduce((sum, { svids }) => sum + svids.size, 0),
    polls: counters.polls,
    failures: counters.failures,
    lastFailure: counters.lastFailure,
    turnedAway: counters.turnedAway,
    snapshots: counters.snapshots,
    deltas: counters.deltas,
  };
}

/** Whoever asked sets the limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(LOOK_EVERY_MS);
}

function say(message: NumberedAnswer): void {
  process.send?.(message);
}
