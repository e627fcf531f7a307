/** The registry in memory: every entry, node and bundle, kept as fresh as the last committed write; no question to it costs a query. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { CommittedRevision, LogPosition, Store } from '../store/store.js';
import { applyChange, isReset } from './apply-change.js';
import type { GraphChange } from './graph-change.js';
import { GraphQuestions } from './graph-questions.js';
import { ReadRetries } from './read-retries.js';
import { lookUp, readRegistry } from './read-registry.js';

export interface EntryGraphOptions {
  readonly store: Store;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
}

export class EntryGraph extends GraphQuestions {
  readonly #options: EntryGraphOptions;
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
    super(options);
    this.#options = options;
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

  async #load(): Promise<void> {
    await this.#readEverything();
    this.#isLoaded = true;
    await this.#catchUp();
  }

  /** Questions are answered from the old indexes until the new ones are whole. */
  async #readEverything(): Promise<void> {
    const { store, trustDomain } = this.#options;
    const { position, ...indexes } = await readRegistry(store, trustDomain);
    this.registry = indexes;
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
    const { entries, nodes, bundles } = this.registry;
    const change = applyChange(entries, nodes, bundles, update);
    if (revision > this.#position.revision) this.#position = { revision, nonce };
    const commits = taken.map((committed) => ({ revision: committed.revision, nonce: committed.nonce }));
    this.#tell({ ...change, revision: this.#position.revision, commits, isReload: false });
  }

  async #reload(): Promise<void> {
    const { nodes: before } = this.registry;
    await this.#readEverything();
    const nodes = [...new Set([...before.ids(), ...this.registry.nodes.ids()])];
    this.#tell({
      revision: this.#position.revision,
      commits: [this.#position],
      isReload: true,
      reaches: [],
      nodes,
      resets: nodes.filter((agentId) => isReset(before.get(agentId), this.registry.nodes.get(agentId))),
      bundles: [...this.registry.bundles.keys()],
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
