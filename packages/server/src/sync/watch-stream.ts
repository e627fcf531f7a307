/** One agent's Watch stream: what it still has to be told, and the telling of it as fast as its reader takes it. */
import type { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import type { WatchDelta, WatchResponse } from '@bonafide/shared/sync/watch-message';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import { entryPages } from './entry-pages.js';
import type { Turns } from './turns.js';

/** What carries the messages. */
export interface WatchTransport {
  /** Resolves when the next message may follow; rejects when the peer is gone. Never called twice at a time. */
  send(message: WatchResponse): Promise<void>;
  /** Ends the stream with an error; at most once, and nothing is sent after it. */
  end(error: BonafideError): void;
}

export interface WatchStreamParts {
  readonly agentId: SpiffeId;
  readonly logId: string;
  readonly graph: EntryGraph;
  readonly turns: Turns;
  readonly transport: WatchTransport;
  readonly maxWaitingEntries: number;
  /** Called once, whoever ended the stream. */
  readonly onEnd: (cause: unknown) => void;
}

export class WatchStream {
  readonly #parts: WatchStreamParts;
  /** Entries and bundles whose present state, or absence, the agent has to be told. */
  #dirtyEntries = new Set<string>();
  #dirtyTrustDomains = new Set<TrustDomain>();
  #needsSnapshot = false;
  /** A delta goes out even if there is nothing to tell but the revision. */
  #needsRevision = false;
  /** The trust domains whose bundles the agent is kept up to date about. */
  #followed: ReadonlySet<TrustDomain> = new Set();
  #sentRevision: number;
  #isSending = false;
  #isEnded = false;

  /** @param revision what the agent holds already; 0 for nothing. */
  constructor(parts: WatchStreamParts, revision: number) {
    this.#parts = parts;
    this.#sentRevision = revision;
  }

  /** The newest revision that went out, acknowledged or not. */
  get sentRevision(): number {
    return this.#sentRevision;
  }

  tellAll(): void {
    this.#needsSnapshot = true;
    this.#dirtyEntries = new Set();
    this.#dirtyTrustDomains = new Set();
    this.#start();
  }

  /** @param trustDomains those of which the bundle or the agent's need of it may have changed. */
  tell(entryIds: Iterable<string>, trustDomains: Iterable<TrustDomain>): void {
    // A snapshot that has not begun will tell it all.
    if (!this.#needsSnapshot) {
      for (const id of entryIds) this.#dirtyEntries.add(id);
      for (const trustDomain of trustDomains) this.#dirtyTrustDomains.add(trustDomain);
      if (this.#dirtyEntries.size > this.#parts.maxWaitingEntries) {
        this.tellAll();
        return;
      }
    }
    this.#start();
  }

  tellBundle(trustDomain: TrustDomain): void {
    if (this.#followed.has(trustDomain)) this.tell([], [trustDomain]);
  }

  tellRevision(): void {
    this.#needsRevision = true;
    this.#start();
  }

  end(error: BonafideError): void {
    if (this.#isEnded) return;
    this.#finish(error);
    this.#parts.transport.end(error);
  }

  /** The peer is gone. */
  close(): void {
    this.#finish(undefined);
  }

  #finish(cause: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#dirtyEntries.clear();
    this.#dirtyTrustDomains.clear();
    this.#parts.onEnd(cause);
  }

  #start(): void {
    if (this.#isSending || this.#isEnded) return;
    this.#isSending = true;
    void this.#sendAll().catch((error: unknown) => {
      this.#finish(error);
    });
  }

  async #sendAll(): Promise<void> {
    while (this.#hasWork()) {
      await this.#parts.turns.take();
      for (const message of this.#takeWork()) {
        if (this.#isStopped()) return;
        if (message.kind !== 'drain') this.#sentRevision = message.revision;
        await this.#parts.transport.send(message);
      }
    }
    this.#isSending = false;
  }

  /** A method, because the answer changes while `send` is awaited. */
  #isStopped(): boolean {
    return this.#isEnded;
  }

  #hasWork(): boolean {
    return (
      !this.#isEnded &&
      (this.#needsSnapshot ||
        this.#needsRevision ||
        this.#dirtyEntries.size > 0 ||
        this.#dirtyTrustDomains.size > 0)
    );
  }

  /** Everything that is to be told now; what changes while it is being sent is told after it. */
  #takeWork(): Iterable<WatchResponse> {
    const entryIds = this.#dirtyEntries;
    const trustDomains = this.#dirtyTrustDomains;
    this.#dirtyEntries = new Set();
    this.#dirtyTrustDomains = new Set();
    this.#needsRevision = false;
    if (!this.#needsSnapshot) return this.#delta(entryIds, trustDomains);
    this.#needsSnapshot = false;
    return this.#snapshot();
  }

  *#snapshot(): Generator<WatchResponse, void, undefined> {
    const { agentId, graph, logId } = this.#parts;
    const { revision } = graph;
    this.#followed = graph.trustDomainsOf(agentId);
    const bundles = this.#bundlesOf(this.#followed);
    for (const { entries, isLast } of entryPages(graph.authorizedEntries(agentId))) {
      yield {
        kind: 'snapshot_page',
        logId,
        revision,
        entries,
        bundles: isLast ? bundles : [],
        isLast,
      };
    }
  }

  *#delta(
    entryIds: ReadonlySet<string>,
    trustDomains: ReadonlySet<TrustDomain>,
  ): Generator<WatchResponse, void, undefined> {
    const { agentId, graph, logId } = this.#parts;
    const { revision } = graph;
    const heldRevision = this.#sentRevision;
    const upserted: RegistrationEntry[] = [];
    const removed: string[] = [];
    for (const id of entryIds) {
      const entry = graph.authorizedEntry(agentId, id);
      if (entry === undefined) removed.push(id);
      else upserted.push(entry);
    }
    if (trustDomains.size > 0) this.#followed = graph.trustDomainsOf(agentId);
    const followed = [...trustDomains].filter((trustDomain) => this.#followed.has(trustDomain));
    const upsertedBundles = this.#bundlesOf(followed);
    const withBundle = new Set(upsertedBundles.map((bundle) => bundle.trustDomain));
    for (const { entries, isLast } of entryPages(upserted)) {
      const delta: WatchDelta = {
        kind: 'delta',
        logId,
        revision: isLast ? revision : heldRevision,
        upsertedEntries: entries,
        removedEntryIds: isLast ? removed : [],
        upsertedBundles: isLast ? upsertedBundles : [],
        removedBundleTrustDomains: isLast
          ? [...trustDomains].filter((trustDomain) => !withBundle.has(trustDomain))
          : [],
      };
      yield delta;
    }
  }

  #bundlesOf(trustDomains: Iterable<TrustDomain>): readonly TrustBundle[] {
    return [...trustDomains].flatMap((trustDomain) => this.#parts.graph.bundle(trustDomain) ?? []);
  }
}
