import { silentLogger } from '@bonafide/shared/runtime/logger';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { launchPostgres, FAST_SETTINGS, type LaunchedPostgres } from '@bonafide/testing/launch-postgres';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { exampleBundle, exampleEntry, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import { openPostgresStore } from '../store/postgres/open-postgres-store.js';
import type { Store } from '../store/store.js';
import type { AgentDelivery } from './agent-delivery.js';
import { AgentRevisions } from './agent-revisions.js';
import { DeliveryAnswers } from './answer-questions.js';
import { ConcernedAgents } from './concerned-agents.js';
import { DeliveryWaits } from './wait-for-delivery.js';

const trustDomain = exampleTrustDomain('example.org');
const id = (path: string): SpiffeId => spiffeIdFromParts(trustDomain, path);
const [A, B, C] = [id('/spire/agent/x/a'), id('/spire/agent/x/b'), id('/spire/agent/x/c')];

/** The rooms of a server that deliveries touch. */
class Member {
  readonly store: Store;
  readonly agents: AgentRevisions;
  readonly waits: DeliveryWaits;
  readonly #graph: EntryGraph;
  readonly #concerned: ConcernedAgents;
  #answers: DeliveryAnswers;

  private constructor(store: Store, graph: EntryGraph) {
    this.store = store;
    this.#graph = graph;
    this.agents = new AgentRevisions({
      clock: systemClock,
      isAttested: (agentId) => graph.node(agentId) !== undefined,
    });
    this.#concerned = new ConcernedAgents(graph, trustDomain);
    this.#answers = this.#answering();
    this.waits = new DeliveryWaits({ ...this.#parts(), exchange: store.deliveries });
  }

  static async join(url: string, serverId: string): Promise<Member> {
    const store = await openPostgresStore({ url, serverId, clock: systemClock, log: silentLogger });
    const graph = await EntryGraph.load({ store, trustDomain, clock: systemClock, log: silentLogger });
    return new Member(store, graph);
  }

  get revision(): number {
    return this.#graph.revision;
  }

  /** As a server does that hangs. */
  stopAnswering(): Promise<void> {
    return this.#answers.stop();
  }

  async leave(): Promise<void> {
    await this.#answers.stop();
    this.#concerned.stop();
    this.#graph.stop();
    await this.store.close();
  }

  #answering(): DeliveryAnswers {
    const { deliveries: exchange } = this.store;
    if (exchange === undefined) throw new Error('the store has no exchange');
    return new DeliveryAnswers({ ...this.#parts(), exchange });
  }

  #parts() {
    const { serverId } = this.store;
    return {
      agents: this.agents,
      concerned: this.#concerned,
      serverId,
      clock: systemClock,
      log: silentLogger,
    };
  }
}

const directory = createTemporaryDirectory();
let postgres: LaunchedPostgres;
let one: Member;
let two: Member;
let databases = 0;
let database = '';

beforeAll(async () => {
  postgres = await launchPostgres({ directory: directory.path, settings: FAST_SETTINGS });
});

afterAll(async () => {
  await postgres.stop();
  directory.remove();
});

beforeEach(async () => {
  databases += 1;
  database = `delivery${databases}`;
  const url = await postgres.createDatabase(database);
  one = await Member.join(url, 'server-one');
  await one.store.write(async ({ bundles, nodes }) => {
    await bundles.put(exampleBundle('example.org'));
    for (const agentId of [A, B, C]) await nodes.put(exampleNode({ agentId }));
  });
  two = await Member.join(url, 'server-two');
});

afterEach(async () => {
  await one.leave();
  await two.leave();
});

/** An entry under each of the agents. @returns the revision. */
function createEntries(agentIds: readonly SpiffeId[]): Promise<number> {
  return one.store.write(async ({ entries, revision }) => {
    for (const agentId of agentIds) {
      const parent = new URL(agentId).pathname;
      const content = exampleEntry({ path: `/w${revision}`, parent });
      await entries.create(content, { id: undefined, createdAt: new Date(0) });
    }
    return revision;
  });
}

async function statesOf(
  member: Member,
  revision: number,
  timeoutMs: number,
): Promise<ReadonlyMap<SpiffeId, AgentDelivery>> {
  const wait = { revision, timeoutMs, signal: new AbortController().signal };
  for await (const progress of member.waits.wait(wait)) {
    if (progress.kind === 'final')
      return new Map([...progress.agents].map((agent) => [agent.agentId, agent]));
  }
  throw new Error('the wait ended without an outcome');
}

describe('a delivery to agents of several servers', () => {
  it('is complete once those of the other server hold it too', async () => {
    one.agents.streamOpened(A, 0);
    two.agents.streamOpened(B, 0);
    const revision = await createEntries([A, B]);
    one.agents.acknowledged(A, revision);
    const states = statesOf(one, revision, 30_000);
    await waitFor('the question', async () => (await countOf('delivery_questions')) === 1);
    two.agents.acknowledged(B, revision);
    expect([...(await states).values()].map(({ kind }) => kind)).toEqual(['delivered', 'delivered']);
    expect(await countOf('delivery_questions')).toBe(0);
    expect(await countOf('delivery_answers')).toBe(0);
  });

  it('tells which server an agent lacks behind at, and which agents no server has', async () => {
    two.agents.streamOpened(B, 1);
    one.agents.streamOpened(C, 0);
    one.agents.streamClosed(C);
    const revision = await createEntries([A, B, C]);
    const states = await statesOf(one, revision, 0);
    expect(states.get(B)).toEqual({ kind: 'behind', agentId: B, appliedRevision: 1, serverId: 'server-two' });
    // The second server was not there yet when the agent may have left a server before it.
    expect(states.get(A)).toMatchObject({ kind: 'offline', isExact: false });
    expect(states.get(C)).toMatchObject({ kind: 'offline', isExact: true });
  });

  it('can be asked of the server that did not write it', async () => {
    one.agents.streamOpened(A, 0);
    const revision = await createEntries([A]);
    one.agents.acknowledged(A, revision);
    expect((await statesOf(two, revision, 10_000)).get(A)?.kind).toBe('delivered');
  });

  it('finds an agent that moved from one server to the other', async () => {
    one.agents.streamOpened(A, 0);
    const revision = await createEntries([A]);
    const states = statesOf(one, revision, 30_000);
    one.agents.streamClosed(A);
    two.agents.streamOpened(A, 0);
    two.agents.acknowledged(A, revision);
    expect((await states).get(A)?.kind).toBe('delivered');
  });

  it('waits a while for a server that listens and does not answer, and not for ever', async () => {
    await two.stopAnswering();
    const revision = await createEntries([A]);
    const startedMs = performance.now();
    const states = await statesOf(one, revision, 0);
    expect(states.get(A)?.kind).toBe('offline');
    expect(performance.now() - startedMs).toBeGreaterThan(1_500);
  });

  it('survives the loss of everything that was asked and answered', async () => {
    two.agents.streamOpened(B, 0);
    const revision = await createEntries([B]);
    const states = statesOf(one, revision, 60_000);
    await waitFor('the question', async () => (await countOf('delivery_questions')) === 1);
    await postgres.query('delete from delivery_questions', database);
    await postgres.restart();
    await waitFor('the database to be back', () => two.store.connection.state.kind === 'connected', {
      limitMs: 150_000,
    });
    two.agents.acknowledged(B, revision);
    expect((await states).get(B)?.kind).toBe('delivered');
  });

  it('leaves nothing behind of askers that crashed', async () => {
    await postgres.query("insert into delivery_questions values ('old', 1, 'server-gone', 1)", database);
    await statesOf(one, await createEntries([A]), 0);
    expect(await countOf('delivery_questions')).toBe(0);
  });
});

async function countOf(table: string): Promise<number> {
  return Number(await postgres.query(`select count(*) from ${table}`, database));
}
