/** All Watch streams of this server: opens them, hands each change to exactly those it concerns, ends those that lost their right. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { atTime } from '@bonafide/shared/runtime/at-time';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { AgentsAhead } from './agents-ahead.js';
import { ChangeHistory } from './change-history.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { GraphChange } from '../entry-graph/graph-change.js';
import type { LogPosition } from '../store/store.js';
import type { ReceiptsListener } from './receipts-listener.js';
import { SnapshotAdmission } from './snapshot-admission.js';
import { expired, refusalOf, replaced, stopping } from './stream-rights.js';
import { Turns } from './turns.js';
import { commitOf } from './watch-cursor.js';
import type { OpenWatch, WatchOpening } from './watch-opening.js';
import { WatchStream } from './watch-stream.js';

export interface WatchStreamsOptions {
  readonly graph: EntryGraph;
  readonly logId: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  /** What happened before (see recent-history.ts); it begins now when absent, or when it does not lead up to now. */
  readonly history?: ChangeHistory;
  readonly admission?: SnapshotAdmission;
  readonly receipts?: ReceiptsListener;
  /** With more than this to tell to a slow reader, it is told all there is instead: what is held for it stays bounded. */
  readonly maxWaitingEntries?: number;
}

interface OpenStream {
  readonly stream: WatchStream;
  readonly serialNumber: string;
  readonly expiry: Timer;
}

/** So far a quiet agent's revision may fall behind before it is told a newer one, lest it needs a snapshot when it comes back. */
const REVISIONS_BEHIND = 500;
const MAX_WAITING_ENTRIES = 10_000;
/** For those that leave at the very end of the spread. */
const DRAIN_GRACE_MS = 1_000;

export class WatchStreams {
  readonly #options: WatchStreamsOptions;
  readonly #streams = new Map<SpiffeId, OpenStream>();
  readonly #ahead: AgentsAhead;
  readonly #turns: Turns;
  readonly #admission: SnapshotAdmission;
  readonly #unsubscribe: () => void;
  #history: ChangeHistory;
  #advancedAt: number;
  #isClosed = false;
  #onEmpty: () => void = () => undefined;

  constructor(options: WatchStreamsOptions) {
    this.#options = options;
    const { graph, clock, history } = options;
    this.#turns = new Turns(clock);
    this.#ahead = new AgentsAhead(clock, (agentId, commit) => {
      const stream = this.#streams.get(agentId)?.stream;
      if (stream !== undefined) this.#greet(agentId, stream, commit);
    });
    const isCurrent =
      history?.newest.revision === graph.revision && history.newest.nonce === graph.position.nonce;
    this.#history = history !== undefined && isCurrent ? history : new ChangeHistory(graph.position);
    this.#admission = options.admission ?? new SnapshotAdmission();
    this.#advancedAt = graph.revision;
    this.#unsubscribe = graph.subscribe((change) => {
      this.#follow(change);
    });
  }

  get size(): number {
    return this.#streams.size;
  }

  isOpen(agentId: SpiffeId): boolean {
    return this.#streams.has(agentId);
  }

  openAgents(): Iterable<SpiffeId> {
    return this.#streams.keys();
  }

  /** Has the agent prove its node anew. @returns whether it listens here. */
  askForProof(agentId: SpiffeId): boolean {
    const open = this.#streams.get(agentId);
    open?.stream.tellProofRequest();
    return open !== undefined;
  }

  /**
   * Begins to send at once: what changed since the agent's cursor, or a snapshot. An agent has one stream: a new one ends the old one.
   * @throws BonafideError `agent_*` for an agent that may not have one, `unavailable` once the server is stopping.
   */
  open(opening: WatchOpening): OpenWatch {
    const { agentId, expiresAt } = opening;
    if (this.#isClosed) throw stopping();
    const refusal = refusalOf(opening, this.#options.graph.node(agentId));
    if (refusal !== undefined) throw refusal;
    if (expiresAt <= this.#options.clock.now()) throw expired();
    this.#streams.get(agentId)?.stream.end(replaced());
    const stream = this.#create(opening);
    return {
      acknowledge: (revision) => {
        this.#acknowledge(agentId, stream, revision);
      },
      close: () => {
        stream.close();
      },
    };
  }

  /** Lets no new stream in and asks the agents to leave. Resolves when all have left, or soon after the spread; never later than that. */
  async drain(spreadMs: number): Promise<void> {
    this.#isClosed = true;
    if (spreadMs <= 0 || this.#streams.size === 0) return;
    for (const { stream } of this.#streams.values()) stream.tellDrain(spreadMs);
    await new Promise<void>((resolve) => {
      const limit = this.#options.clock.schedule(spreadMs + DRAIN_GRACE_MS, resolve);
      this.#onEmpty = () => {
        limit.cancel();
        resolve();
      };
    });
  }

  stop(): void {
    this.#isClosed = true;
    this.#unsubscribe();
    for (const { stream } of [...this.#streams.values()]) stream.end(stopping());
  }

  #create(opening: WatchOpening): WatchStream {
    const { agentId, serialNumber, expiresAt, hello, transport } = opening;
    const { graph, logId, trustDomain, clock, maxWaitingEntries = MAX_WAITING_ENTRIES } = this.#options;
    const stream: WatchStream = new WatchStream({
      ...{ agentId, logId, trustDomain, graph, clock, transport, maxWaitingEntries },
      turns: this.#turns,
      admission: this.#admission,
      onEnd: (cause) => {
        this.#remove(agentId, stream, cause);
      },
    });
    const expiry = atTime(clock, expiresAt, () => {
      stream.end(expired());
    });
    this.#streams.set(agentId, { stream, serialNumber, expiry });
    const commit = commitOf(hello.cursor, logId);
    if (commit === undefined || commit.revision <= graph.revision) this.#greet(agentId, stream, commit);
    else this.#ahead.wait(agentId, commit);
    return stream;
  }

  #remove(agentId: SpiffeId, stream: WatchStream, cause: unknown): void {
    const open = this.#streams.get(agentId);
    if (open?.stream !== stream) return;
    open.expiry.cancel();
    this.#ahead.leave(agentId);
    this.#streams.delete(agentId);
    this.#options.receipts?.streamClosed(agentId);
    this.#options.log.debug({ agent_id: agentId, err: cause }, 'watch stream ended');
    if (this.#streams.size === 0) this.#onEmpty();
  }

  #greet(agentId: SpiffeId, stream: WatchStream, commit: LogPosition | undefined): void {
    const missed = commit === undefined ? undefined : this.#history.missedBy(agentId, commit);
    if (commit === undefined || missed === undefined) {
      this.#options.receipts?.streamOpened(agentId, 0);
      stream.tellAll();
      return;
    }
    this.#options.receipts?.streamOpened(agentId, commit.revision);
    // Which bundles it holds is not known, so that it gets all it needs again: they are few and small.
    const needed = this.#options.graph.trustDomainsOf(agentId);
    stream.resume(commit, missed.entryIds, [...missed.trustDomains, ...needed]);
  }

  #acknowledge(agentId: SpiffeId, stream: WatchStream, revision: number): void {
    if (this.#streams.get(agentId)?.stream !== stream) return;
    const newest = stream.newestSentRevision;
    if (revision > newest) {
      stream.end(
        new BonafideError(
          'invalid_argument',
          `acknowledged revision ${revision}, but ${newest} is the newest that was sent`,
        ),
      );
      return;
    }
    this.#options.receipts?.acknowledged(agentId, revision);
  }

  #follow(change: GraphChange): void {
    if (change.isReload) {
      this.#history = new ChangeHistory(this.#options.graph.position);
      this.#advancedAt = change.revision;
    } else this.#history.append(change);
    this.#checkNodes(change);
    if (change.isReload) this.#tellAll();
    else this.#tell(change);
    this.#ahead.reached(change.revision);
    this.#advanceQuietStreams(change.revision);
  }

  #tellAll(): void {
    for (const [agentId, { stream }] of this.#streams) {
      if (!this.#ahead.has(agentId)) stream.tellAll();
    }
  }

  #tell({ reaches, bundles }: GraphChange): void {
    for (const { agents, entryIds, trustDomains } of reaches) {
      for (const agentId of agents) {
        if (!this.#ahead.has(agentId)) this.#streams.get(agentId)?.stream.tell(entryIds, trustDomains);
      }
    }
    if (bundles.length === 0) return;
    // Every stream follows our own; a foreign one is rare, and asking a stream whether it follows one is a look into a set.
    for (const { stream } of this.#streams.values()) {
      for (const trustDomain of bundles) stream.tellBundle(trustDomain);
    }
  }

  #checkNodes(change: GraphChange): void {
    const resets = new Set(change.resets);
    for (const agentId of change.nodes) {
      if (resets.has(agentId)) this.#options.receipts?.forget(agentId);
      const open = this.#streams.get(agentId);
      if (open === undefined) continue;
      const { stream, serialNumber } = open;
      const refusal = refusalOf({ agentId, serialNumber }, this.#options.graph.node(agentId));
      if (refusal !== undefined) stream.end(refusal);
    }
  }

  #advanceQuietStreams(revision: number): void {
    if (revision - this.#advancedAt < REVISIONS_BEHIND) return;
    this.#advancedAt = revision;
    for (const [agentId, { stream }] of this.#streams) {
      const isBehind = revision - stream.sentRevision >= REVISIONS_BEHIND;
      if (isBehind && !this.#ahead.has(agentId)) stream.tellRevision();
    }
  }
}
