import { describe, expect, it } from 'vitest';
import { systemClock as clock } from '@bonafide/shared/runtime/clock';
import { silentLogger as log } from '@bonafide/shared/runtime/logger';
import { waitFor } from '@bonafide/testing/wait-for';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import type { ContinuousProof, NodeAttestor } from '../node-attestation/node-attestor.js';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { DATABASES, useStores } from '../store/store-fixtures.js';
import type { Store } from '../store/store.js';
import { WatchStreams } from '../sync/watch-streams.js';
import { WatchingAgent } from '../sync/watching-agent.js';
import { Metrics } from '../telemetry/metrics.js';
import { LastProven } from './last-proven.js';
import { NodeNotices } from './node-notices.js';
import { NodeQuarantine } from './node-quarantine.js';
import { NodeStates } from './node-states.js';
import { ProofSchedule } from './proof-schedule.js';
import { NodeProofs } from './prove-node.js';

const trustDomain = exampleTrustDomain('example.org');
const { agentId } = exampleNode();
const HOUR_MS = 3_600_000;
const LIMIT = { limitMs: 150_000 };

const continuous: ContinuousProof = {
  intervalSeconds: undefined,
  deadlineSeconds: 1800,
  prove: () => Promise.resolve({ record: 'same', selectors: [], findings: [] }),
  accept: (record) => record,
  facts: () => [],
};
const attestors = new Map<string, NodeAttestor>([
  ['join_token', { attest: () => Promise.reject(new Error('not here')), continuous }],
]);

/** The rooms of a server that have to do with proofs. */
class ProvingServer implements AsyncDisposable {
  readonly graph: EntryGraph;
  readonly streams: WatchStreams;
  readonly quarantine: NodeQuarantine;
  readonly states: NodeStates;
  readonly proofs: NodeProofs;
  readonly #lastProven: LastProven;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  static async start(store: Store): Promise<ProvingServer> {
    return new ProvingServer(store, await EntryGraph.load({ store, trustDomain, clock, log }));
  }

  private constructor(store: Store, graph: EntryGraph) {
    this.graph = graph;
    this.streams = new WatchStreams({ graph, logId: store.logId, trustDomain, clock, log });
    const audit = { record: () => Promise.resolve() };
    const notices = new NodeNotices({ audit, metrics: new Metrics(), log });
    const lastProven = (this.#lastProven = new LastProven({ proofs: store.nodeProofs, clock, log }));
    const parts = { attestors, store, notices, clock, log, lastProven };
    this.quarantine = new NodeQuarantine(parts);
    this.states = new NodeStates(parts);
    const schedule = new ProofSchedule({
      ...{ ...parts, streams: this.streams, nodes: graph },
      quarantine: () => Promise.resolve(false),
    });
    this.proofs = new NodeProofs({
      ...parts,
      nodes: graph,
      onProven: (id) => {
        schedule.proven(id);
      },
    });
    this.#running = schedule.run(this.#stop.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#lastProven.stop();
    this.streams.stop();
    this.graph.stop();
  }
}

describe.each(DATABASES)('servers on one database (%s)', (database) => {
  const stores = useStores(database);

  /** The one at which the operator is, and the one at which the agent is; on SQLite there is only one. */
  async function openTwo(): Promise<readonly [Store, Store]> {
    const near = await stores.open();
    const far = database === 'sqlite' ? near : await stores.open();
    await near.write(async ({ bundles, nodes, nodeProofs, entries }) => {
      await bundles.put(exampleBundle('example.org'));
      await nodes.put(exampleNode());
      await nodeProofs.put({ agentId, provenAt: clock.now(), requestedAt: undefined, record: 'same' });
      await entries.create(exampleEntry(), { id: 'web', createdAt: new Date(0) });
    });
    return [near, far];
  }

  it('all withdraw what an agent in quarantine held, and give it back', async () => {
    const [near, far] = await openTwo();
    await using operators = await ProvingServer.start(near);
    await using agents = await ProvingServer.start(far);
    const agent = new WatchingAgent(agentId);
    const until = new Date(clock.now().getTime() + HOUR_MS);
    await waitFor('the agent to be known', () => agents.graph.node(agentId) !== undefined, LIMIT);
    agent.connect(agents.streams, until);
    await waitFor('the entry', () => agent.entries.has('web'), LIMIT);

    await operators.quarantine.byOperator(agentId, 'a look', 'uid:0');
    await waitFor('the stream to end', () => agent.ended?.reason === 'agent_quarantined', LIMIT);
    expect(agents.graph.authorizedEntries(agentId)).toEqual([]);
    expect(agents.graph.authorizedEntry(agentId, 'web')).toBeUndefined();
    expect(agents.graph.quarantinedNodes().map((node) => node.agentId)).toEqual([agentId]);
    expect(() => {
      agent.connect(agents.streams, until);
    }).toThrow(expect.objectContaining({ reason: 'agent_quarantined' }));

    const { digest = '' } = await operators.states.get(agentId);
    await operators.quarantine.release(agentId, digest, 'uid:0');
    await waitFor('the release', () => agents.graph.quarantinedNodes().length === 0, LIMIT);
    agent.logId = '';
    agent.entries.clear();
    agent.connect(agents.streams, until);
    await waitFor('the entry', () => agent.entries.has('web'), LIMIT);
  });

  it('pass the request for a proof on to where the agent is, and hear that it came', async () => {
    const [near, far] = await openTwo();
    await using operators = await ProvingServer.start(near);
    await using agents = await ProvingServer.start(far);
    const agent = new WatchingAgent(agentId);
    await waitFor('the agent to be known', () => agents.graph.node(agentId) !== undefined, LIMIT);
    agent.connect(agents.streams, new Date(clock.now().getTime() + HOUR_MS));
    await waitFor('the snapshot', () => agent.entries.has('web'), LIMIT);
    const requested = operators.states.requestProof(agentId, 60_000, new AbortController().signal);
    await waitFor('the request', () => agent.messages.some(({ kind }) => kind === 'proof_request'), LIMIT);
    const challenge = (): Promise<Buffer> => Promise.resolve(Buffer.alloc(0));
    await agents.proofs.prove({
      agentId,
      type: 'join_token',
      certificateHash: Buffer.alloc(32),
      challenge,
    });
    expect(await requested).toMatchObject({ requestedAt: undefined, quarantine: undefined });
  });
});
