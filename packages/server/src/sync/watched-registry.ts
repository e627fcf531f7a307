/** For tests: a registry with two agents, the streams that tell them of it, and a change log that may fall silent. */
import type { RegistrationEntryContent } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { silentLogger } from '@bonafide/shared/runtime/logger';
import { spiffeIdFromParts, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { AgentRevisions } from '../delivery/agent-revisions.js';
import { EntryGraph } from '../entry-graph/entry-graph.js';
import { exampleBundle, exampleNode, exampleTrustDomain } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import { openStore } from '../store/open-store.js';
import type { CommittedRevision, Store } from '../store/store.js';
import type { SnapshotAdmission } from './snapshot-admission.js';
import { WatchingAgent } from './watching-agent.js';
import { WatchStreams } from './watch-streams.js';

export const trustDomain = exampleTrustDomain('example.org');
export const agentNamed = (name: string): SpiffeId =>
  spiffeIdFromParts(trustDomain, `/spire/agent/x/${name}`);
export const A = agentNamed('a');
export const B = agentNamed('b');
export const HOUR = 3_600_000;

type Listener = (committed: CommittedRevision) => void | Promise<void>;

/** @typeParam Time a fake one, which the test moves. */
export class WatchedRegistry<Time extends Clock> {
  readonly clock: Time;
  readonly store: Store;
  readonly graph: EntryGraph;
  readonly receipts: AgentRevisions;
  streams: WatchStreams;
  readonly #log: SilenceableLog;

  private constructor(store: Store, log: SilenceableLog, graph: EntryGraph, clock: Time) {
    this.clock = clock;
    this.store = store;
    this.#log = log;
    this.graph = graph;
    this.receipts = new AgentRevisions({
      clock,
      isAttested: (agentId) => graph.node(agentId)?.isBanned === false,
    });
    this.streams = this.#newStreams();
  }

  static async open<Time extends Clock>(clock: Time): Promise<WatchedRegistry<Time>> {
    const store = await openStore({ path: ':memory:', log: silentLogger });
    const log = new SilenceableLog(store);
    const graph = await EntryGraph.load({ store: log.store, trustDomain, clock, log: silentLogger });
    const registry = new WatchedRegistry(store, log, graph, clock);
    await store.write(async ({ bundles, nodes }) => {
      await bundles.put(exampleBundle('example.org'));
      for (const agentId of [A, B]) await nodes.put(exampleNode({ agentId }));
    });
    return registry;
  }

  /** As after a restart that remembers nothing. */
  renewStreams(admission?: SnapshotAdmission): void {
    this.streams.stop();
    this.streams = this.#newStreams(admission);
  }

  async create(entryId: string, content: RegistrationEntryContent): Promise<number> {
    return this.store.write(async ({ entries, revision }) => {
      await entries.create(content, { id: entryId, createdAt: this.clock.now() });
      return revision;
    });
  }

  put(agentId: SpiffeId, changes: Partial<AttestedNode> = {}): Promise<void> {
    return this.store.write(({ nodes }) => nodes.put(exampleNode({ agentId, ...changes })));
  }

  watch(agentId: SpiffeId): WatchingAgent {
    const agent = new WatchingAgent(agentId);
    this.connect(agent);
    return agent;
  }

  connect(agent: WatchingAgent): void {
    agent.connect(this.streams, new Date(this.clock.now().getTime() + HOUR));
  }

  /** What is committed from now on is not heard of. */
  silence(): void {
    this.#log.isSilent = true;
  }

  /** It can be heard again, but not what was missed: everything has to be read again. */
  async reload(): Promise<void> {
    this.#log.isSilent = false;
    await this.#log.tell({ ...(await this.store.position()), changes: [{ kind: 'everything' }] });
  }

  async close(): Promise<void> {
    this.streams.stop();
    this.graph.stop();
    await this.store.close();
  }

  #newStreams(admission?: SnapshotAdmission): WatchStreams {
    const { clock, graph, store, receipts } = this;
    return new WatchStreams({
      ...{ graph, logId: store.logId, trustDomain, clock, log: silentLogger, receipts },
      ...(admission === undefined ? {} : { admission }),
      maxWaitingEntries: 20,
    });
  }
}

class SilenceableLog {
  readonly store: Store;
  readonly #listeners = new Set<Listener>();
  isSilent = false;

  constructor(store: Store) {
    store.subscribe(async (committed) => {
      if (!this.isSilent) await this.tell(committed);
    });
    const { logId, serverId, connection, entries, nodes, nodeProofs, nodeAdmissions } = store;
    const { bundles, authorities, federation, tpmEnrollments, selectorSightings, auditEvents, deliveries } =
      store;
    this.store = {
      ...{ logId, serverId, connection, entries, nodes, nodeProofs, nodeAdmissions },
      ...{ bundles, authorities, federation, tpmEnrollments, selectorSightings, auditEvents, deliveries },
      position: () => store.position(),
      currentRevision: () => store.currentRevision(),
      changesSince: (revision, limit) => store.changesSince(revision, limit),
      write: (work) => store.write(work),
      close: () => store.close(),
      subscribe: (listener) => {
        this.#listeners.add(listener);
        return () => {
          this.#listeners.delete(listener);
        };
      },
    };
  }

  async tell(committed: CommittedRevision): Promise<void> {
    for (const listener of this.#listeners) await listener(committed);
  }
}
