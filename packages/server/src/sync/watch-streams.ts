/** All Watch streams of this server: opens them, hands each change to exactly those it concerns, ends those that lost their right. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WatchHello } from '@bonafide/shared/sync/watch-message';
import type { AttestedNode } from '../store/node-record.js';
import { ChangeHistory } from './change-history.js';
import { DeliveryReceipts, type DeliveryReport, type DeliveryWait } from './delivery-receipts.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { GraphChange } from '../entry-graph/graph-change.js';
import { Turns } from './turns.js';
import { WatchStream, type WatchTransport } from './watch-stream.js';

export interface WatchStreamsOptions {
  readonly graph: EntryGraph;
  readonly logId: string;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Logger;
  /** With more than this to tell to a slow reader, it is told all there is instead: what is held for it stays bounded. */
  readonly maxWaitingEntries?: number;
}

export interface WatchOpening {
  readonly agentId: SpiffeId;
  /** Of the SVID that opened the stream. */
  readonly serialNumber: string;
  readonly expiresAt: Date;
  readonly hello: WatchHello;
  readonly transport: WatchTransport;
}

/** What the transport reports. */
export interface OpenWatch {
  /** The agent has applied everything up to the revision. */
  acknowledge(revision: number): void;
  /** The peer has ended the stream or is gone. */
  close(): void;
}

interface OpenStream {
  readonly stream: WatchStream;
  readonly serialNumber: string;
  expiryTimer: Timer | undefined;
}

/** So far a quiet agent's revision may fall behind before it is told a newer one, lest it needs a snapshot when it comes back. */
const REVISIONS_BEHIND = 500;
const MAX_WAITING_ENTRIES = 10_000;

export class WatchStreams {
  readonly #options: WatchStreamsOptions;
  readonly #streams = new Map<SpiffeId, OpenStream>();
  readonly #history: ChangeHistory;
  readonly #receipts: DeliveryReceipts;
  readonly #turns = new Turns();
  readonly #unsubscribe: () => void;
  #advancedAt: number;
  #isStopped = false;

  constructor(options: WatchStreamsOptions) {
    this.#options = options;
    this.#history = new ChangeHistory(options.graph.revision);
    this.#receipts = new DeliveryReceipts(options.clock);
    this.#advancedAt = options.graph.revision;
    this.#unsubscribe = options.graph.subscribe((change) => {
      this.#follow(change);
    });
  }

  get size(): number {
    return this.#streams.size;
  }

  isOpen(agentId: SpiffeId): boolean {
    return this.#streams.has(agentId);
  }

  /**
   * Begins to send at once: what changed since the agent's cursor, or a snapshot. An agent has one stream: a new one ends the old one.
   * @throws BonafideError `agent_*` for an agent that may not have one.
   */
  open(opening: WatchOpening): OpenWatch {
    const { agentId, expiresAt, hello } = opening;
    if (this.#isStopped) throw stopping();
    const refusal = this.#refusalOf(opening, this.#options.graph.node(agentId));
    if (refusal !== undefined) throw refusal;
    if (expiresAt <= this.#options.clock.now()) throw expired();
    const replaced = new BonafideError(
      'aborted',
      'the agent opened another watch stream, which replaces this one',
    );
    this.#streams.get(agentId)?.stream.end(replaced);
    const heldRevision = this.#heldRevision(hello);
    const stream = this.#createStream(opening, heldRevision ?? 0);
    this.#greet(agentId, stream, heldRevision);
    return {
      acknowledge: (revision) => {
        this.#acknowledge(agentId, stream, revision);
      },
      close: () => {
        stream.close();
      },
    };
  }

  /** The agents whose entries the revision may have changed; undefined for one that is long past or still to come. */
  affectedAgents(revision: number): readonly SpiffeId[] | undefined {
    return this.#history.agentsOf(revision);
  }

  /** The newest revision the agent said it has applied; undefined when it never said. */
  appliedRevision(agentId: SpiffeId): number | undefined {
    return this.#receipts.appliedRevision(agentId);
  }

  /** Resolves when each of the agents has applied the revision, is banned or gone, or the time is up. */
  waitForDelivery(wait: DeliveryWait): Promise<DeliveryReport> {
    return this.#receipts.wait(wait, (agentId) => this.#options.graph.node(agentId)?.isBanned !== false);
  }

  stop(): void {
    this.#isStopped = true;
    this.#unsubscribe();
    for (const { stream } of [...this.#streams.values()]) stream.end(stopping());
  }

  #createStream(opening: WatchOpening, heldRevision: number): WatchStream {
    const { agentId, serialNumber, expiresAt, transport } = opening;
    const { graph, logId, log } = this.#options;
    const stream: WatchStream = new WatchStream(
      {
        agentId,
        logId,
        graph,
        turns: this.#turns,
        transport,
        maxWaitingEntries: this.#options.maxWaitingEntries ?? MAX_WAITING_ENTRIES,
        onEnd: (cause) => {
          if (this.#streams.get(agentId)?.stream !== stream) return;
          this.#streams.get(agentId)?.expiryTimer?.cancel();
          this.#streams.delete(agentId);
          log.debug({ agent_id: agentId, err: cause }, 'watch stream ended');
        },
      },
      heldRevision,
    );
    const open: OpenStream = { stream, serialNumber, expiryTimer: undefined };
    this.#streams.set(agentId, open);
    this.#endAtExpiry(open, expiresAt);
    return stream;
  }

  /** How far the agent's cursor is worth something; undefined when it is worth nothing. */
  #heldRevision({ cursor }: WatchHello): number | undefined {
    const { graph, logId } = this.#options;
    if (cursor?.logId !== logId || cursor.revision > graph.revision || cursor.revision <= 0) return undefined;
    return cursor.revision;
  }

  #greet(agentId: SpiffeId, stream: WatchStream, heldRevision: number | undefined): void {
    const missed = heldRevision === undefined ? undefined : this.#history.missedBy(agentId, heldRevision);
    if (heldRevision === undefined || missed === undefined) {
      this.#receipts.record(agentId, 0);
      stream.tellAll();
      return;
    }
    this.#receipts.record(agentId, heldRevision);
    // Which bundles it holds is not known, so that it gets all it needs again: they are few and small.
    stream.tell(missed.entryIds, [...missed.trustDomains, ...this.#options.graph.trustDomainsOf(agentId)]);
    stream.tellRevision();
  }

  #acknowledge(agentId: SpiffeId, stream: WatchStream, revision: number): void {
    if (this.#streams.get(agentId)?.stream !== stream) return;
    if (revision > stream.sentRevision) {
      stream.end(
        new BonafideError(
          'invalid_argument',
          `acknowledged revision ${revision}, but ${stream.sentRevision} is the newest that was sent`,
        ),
      );
      return;
    }
    this.#receipts.record(agentId, revision);
  }

  #follow(change: GraphChange): void {
    this.#history.append(change);
    this.#checkNodes(change);
    for (const reach of change.reaches) {
      for (const agentId of reach.agents) {
        this.#streams.get(agentId)?.stream.tell(reach.entryIds, reach.trustDomains);
      }
    }
    if (change.bundles.length > 0) {
      // Every stream follows our own; a foreign one is rare, and asking a stream whether it follows one is a look into a set.
      for (const { stream } of this.#streams.values()) {
        for (const trustDomain of change.bundles) stream.tellBundle(trustDomain);
      }
    }
    this.#advanceQuietStreams(change.revision);
  }

  #checkNodes(change: GraphChange): void {
    const resets = new Set(change.resets);
    for (const agentId of change.nodes) {
      const node = this.#options.graph.node(agentId);
      if (resets.has(agentId)) this.#receipts.forget(agentId);
      const open = this.#streams.get(agentId);
      if (open === undefined) continue;
      const refusal = this.#refusalOf({ agentId, serialNumber: open.serialNumber }, node);
      if (refusal !== undefined) open.stream.end(refusal);
    }
  }

  #refusalOf(
    opening: { readonly agentId: SpiffeId; readonly serialNumber: string },
    node: AttestedNode | undefined,
  ): BonafideError | undefined {
    const { agentId, serialNumber } = opening;
    if (node === undefined) {
      return new BonafideError('agent_not_attested', `agent ${agentId} is not attested`);
    }
    if (node.isBanned) return new BonafideError('agent_banned', `agent ${agentId} is banned`);
    if (serialNumber !== node.serialNumber && serialNumber !== node.nextSerialNumber) {
      // Not `agent_not_active`, which tells an agent to attest again: it has the newer SVID already.
      return new BonafideError(
        'aborted',
        'the agent SVID that opened this watch stream was replaced; open one with the newer SVID',
      );
    }
    return undefined;
  }

  #endAtExpiry(open: OpenStream, expiresAt: Date): void {
    const { clock } = this.#options;
    open.expiryTimer = clock.schedule(expiresAt.getTime() - clock.now().getTime(), () => {
      // A timer may be clamped, or the wall clock may have been set back.
      if (clock.now() < expiresAt) this.#endAtExpiry(open, expiresAt);
      else open.stream.end(expired());
    });
  }

  #advanceQuietStreams(revision: number): void {
    if (revision - this.#advancedAt < REVISIONS_BEHIND) return;
    this.#advancedAt = revision;
    for (const { stream } of this.#streams.values()) {
      if (revision - stream.sentRevision >= REVISIONS_BEHIND) stream.tellRevision();
    }
  }
}

function expired(): BonafideError {
  return new BonafideError('agent_expired', 'the agent SVID that opened this watch stream has expired');
}

function stopping(): BonafideError {
  return new BonafideError('unavailable', 'the server is stopping');
}
