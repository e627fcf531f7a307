/** The registry in memory: every entry, node and bundle, kept as fresh as the last committed write; no question to it costs a query. */
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { serverId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { AttestedNode } from '../store/node-record.js';
import type { CommittedRevision, LogPosition, Store } from '../store/store.js';
import { EntryIndex } from './entry-index.js';
import type { GraphEntry } from './graph-entry.js';
import { applyChange, isReset, mayHold } from './apply-change.js';
import type { GraphChange } from './graph-change.js';
import { NodeIndex } from './node-index.js';
import { agentsUnder, authorizedEntries, isAuthorized } from './reach.js';
import { ReadRetries } from './read-retries.js';
import { lookUp, readRegistry } from './read-registry.js';

export interface EntryGraphOptions {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
}

export class EntryGraph {
  readonly #options: EntryGraphOptions;
  #entries: EntryIndex;
  #nodes = new NodeIndex();
  #bundles = new Map<TrustDomain, TrustBundle>();
  readonly #listeners = new Set<(change: GraphChange) => void>();
  readonly #unsubscribe: () => void;
  readonly #retries: ReadRetries;
  /** Committed, but not in memory yet. */
  #pending: CommittedRevision[] = [];
  #isLoaded = false;
  #isStopped = false;
  #position: LogPosition = { revision: 0, nonce: '' };
  #work: Promise<void> = Promise.resolve();

  /** Reads everything, in batches; changes that are committed meanwhile are not missed. */
  static async load(options: EntryGraphOptions): Promise<EntryGraph> {
    const graph = new EntryGraph(options);
    try {
      await graph.#load();
    } catch (error) {
      graph.stop();
      throw error;
    }
    return graph;
  }

  private constructor(options: EntryGraphOptions) {
    this.#options = options;
    this.#entries = new EntryIndex(serverId(options.trustDomain));
    const { clock, log } = options;
    this.#retries = new ReadRetries({ clock, log, again: () => void this.#catchUp() });
    // The store waits for what a listener returns: a write is visible here before it is acknowledged.
    this.#unsubscribe = options.store.subscribe((committed) => this.#follow(committed));
  }

  get revision(): number {
    return this.#position.revision;
  }

  /** The last commit that is in the graph. */
  get position(): LogPosition {
    return this.#position;
  }

  get size(): { readonly entries: number; readonly nodes: number; readonly bundles: number } {
    return { entries: this.#entries.size, nodes: this.#nodes.size, bundles: this.#bundles.size };
  }

  node(agentId: SpiffeId): AttestedNode | undefined {
    return this.#nodes.get(agentId);
  }

  /** Ordered by agent ID. */
  quarantinedNodes(): readonly AttestedNode[] {
    return this.#nodes.inQuarantine();
  }

  entry(entryId: string): RegistrationEntry | undefined {
    return this.#entries.get(entryId)?.toRegistrationEntry();
  }

  bundle(trustDomain: TrustDomain): TrustBundle | undefined {
    return this.#bundles.get(trustDomain);
  }

  /** Expired ones too. */
  entriesWithSpiffeId(spiffeId: SpiffeId): readonly RegistrationEntry[] {
    return Array.from(this.#entries.withSpiffeId(spiffeId), (entry) => entry.toRegistrationEntry());
  }

  /** What the agent may have SVIDs for now; nothing for a node that is not attested, is banned or in quarantine. In no particular order. */
  authorizedEntries(agentId: SpiffeId): readonly RegistrationEntry[] {
    return this.#authorized(agentId).map((entry) => entry.toRegistrationEntry());
  }

  /** The entry when the agent may have SVIDs for it now. */
  authorizedEntry(agentId: SpiffeId, entryId: string): RegistrationEntry | undefined {
    const entry = this.#entries.get(entryId);
    if (entry === undefined || !this.#isTrusted(agentId)) return undefined;
    const isHeld = isAuthorized(this.#entries, this.#nodes, agentId, entry, this.#nowMs());
    return isHeld ? entry.toRegistrationEntry() : undefined;
  }

  /** Our own trust domain, and those that the agent's entries name; not every one of them has a bundle. */
  trustDomainsOf(agentId: SpiffeId): ReadonlySet<TrustDomain> {
    const trustDomains = new Set([this.#options.trustDomain]);
    for (const { terms } of this.#authorized(agentId)) {
      for (const trustDomain of terms.federatesWith) trustDomains.add(trustDomain);
    }
    return trustDomains;
  }

  /** The agents that a change of the entry would concern: for an alias the nodes that have it. */
  affectedAgents(entry: RegistrationEntry): readonly SpiffeId[] {
    if (this.#entries.isAlias(entry)) return this.#nodes.withAll(entry.selectors);
    return agentsUnder(this.#entries, this.#nodes, [entry.parentId]);
  }

  /** The agents that are given what hangs under an ID; those that had it before a change of what is above it are another matter. */
  agentsUnder(parentId: SpiffeId): readonly SpiffeId[] {
    return agentsUnder(this.#entries, this.#nodes, [parentId]);
  }

  hasChildren(parentId: SpiffeId): boolean {
    return this.#entries.hasChildren(parentId);
  }

  /** The agents that are told of the trust domain's bundle: those that hold an entry which names it; of our own, all of them. */
  agentsFollowing(trustDomain: TrustDomain): readonly SpiffeId[] {
    if (trustDomain === this.#options.trustDomain) return [...this.#nodes.ids()];
    const nowMs = this.#nowMs();
    const parentIds = new Set<SpiffeId>();
    for (const entry of this.#entries.federatingWith(trustDomain)) {
      if (!entry.isAlias && entry.isLive(nowMs)) parentIds.add(entry.parent.id);
    }
    const agents = agentsUnder(this.#entries, this.#nodes, parentIds, nowMs);
    return agents.filter((agentId) => this.#isTrusted(agentId));
  }

  /** When the next entry ends by itself; in the past when it has and is not pruned yet. */
  earliestExpiry(): Date | undefined {
    return this.#entries.earliestExpiry();
  }

  /** Hears of each change once it is in memory, before the write that made it is acknowledged. */
  subscribe(listener: (change: GraphChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stop(): void {
    this.#isStopped = true;
    this.#retries.stop();
    this.#unsubscribe();
  }

  #authorized(agentId: SpiffeId): readonly GraphEntry[] {
    if (!this.#isTrusted(agentId)) return [];
    return authorizedEntries(this.#entries, this.#nodes, agentId, this.#nowMs());
  }

  #nowMs(): number {
    return this.#options.clock.now().getTime();
  }

  #isTrusted(agentId: SpiffeId): boolean {
    const node = this.#nodes.get(agentId);
    return node !== undefined && mayHold(node);
  }

  async #load(): Promise<void> {
    await this.#readEverything();
    this.#isLoaded = true;
    await this.#catchUp();
  }

  /** Questions are answered from the old indexes until the new ones are whole. */
  async #readEverything(): Promise<void> {
    const { store, trustDomain } = this.#options;
    const { entries, nodes, bundles, position } = await readRegistry(store, trustDomain);
    this.#entries = entries;
    this.#nodes = nodes;
    this.#bundles = bundles;
    this.#position = position;
  }

  #follow(committed: CommittedRevision): Promise<void> {
    this.#pending.push(committed);
    // While loading nobody waits: what was committed meanwhile is read again afterwards, which does no harm.
    return this.#isLoaded ? this.#catchUp() : Promise.resolve();
  }

  #catchUp(): Promise<void> {
    this.#work = this.#work.then(() => this.#applyPending());
    return this.#work;
  }

  async #applyPending(): Promise<void> {
    const taken = this.#pending;
    const last = taken.at(-1);
    if (last === undefined || this.#isStopped) return;
    this.#pending = [];
    try {
      if (isEverything(taken)) await this.#reload();
      else await this.#apply(taken, last);
      this.#retries.succeeded();
    } catch (error) {
      this.#pending = [...taken, ...this.#pending];
      this.#retries.failed(error);
    }
  }

  async #apply(taken: readonly CommittedRevision[], { revision, nonce }: LogPosition): Promise<void> {
    const update = await lookUp(this.#options.store, taken);
    const change = applyChange(this.#entries, this.#nodes, this.#bundles, update);
    if (revision > this.#position.revision) this.#position = { revision, nonce };
    const commits = taken.map((committed) => ({ revision: committed.revision, nonce: committed.nonce }));
    this.#tell({ ...change, revision: this.#position.revision, commits, isReload: false });
  }

  async #reload(): Promise<void> {
    const before = this.#nodes;
    await this.#readEverything();
    const nodes = [...new Set([...before.ids(), ...this.#nodes.ids()])];
    this.#tell({
      revision: this.#position.revision,
      commits: [this.#position],
      isReload: true,
      reaches: [],
      nodes,
      resets: nodes.filter((agentId) => isReset(before.get(agentId), this.#nodes.get(agentId))),
      bundles: [...this.#bundles.keys()],
    });
  }

  #tell(change: GraphChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        const { revision } = change;
        this.#options.log.error({ err: error, revision }, 'a follower of the entry graph failed');
      }
    }
  }
}

function isEverything(revisions: readonly CommittedRevision[]): boolean {
  return revisions.some(({ changes }) => changes.some(({ kind }) => kind === 'everything'));
}
